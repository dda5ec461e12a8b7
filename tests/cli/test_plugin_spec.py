"""``ID[/TYPE_ID][=JSON|=@FILE]``."""

from __future__ import annotations

from pathlib import Path

import pytest

from stellatune_plugins.cli.plugin_spec import MAX_CONFIG_BYTES, PluginSpec, parse
from stellatune_plugins.errors import UsageError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("dev.stellatune.gain", PluginSpec("dev.stellatune.gain")),
        ("dev.stellatune.gain/gain", PluginSpec("dev.stellatune.gain", "gain")),
        ('a.b={"x": 1}', PluginSpec("a.b", None, '{"x": 1}')),
        ('a.b/c={"x": "y=z/w"}', PluginSpec("a.b", "c", '{"x": "y=z/w"}')),
        ("a.b={}", PluginSpec("a.b", None, "{}")),
    ],
)
def test_forms(text: str, spec: PluginSpec) -> None:
    """Type and configuration are both optional; what stands behind the first equals sign is the configuration's."""
    assert parse(text) == spec


def test_a_configuration_from_a_file(tmp_path: Path) -> None:
    """``=@FILE`` reads UTF-8, with or without a byte order mark."""
    path = tmp_path / "eq.json"
    path.write_bytes(b'\xef\xbb\xbf{"preamp_db": -3}')
    assert parse(f"a.b=@{path}") == PluginSpec("a.b", None, '{"preamp_db": -3}')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is written ID"),
        ("=", "it is written ID"),
        ("/type", "it is written ID"),
        ("a.b/", "it is written ID"),
        ("a.b=", "not JSON"),
        ("a.b={x: 1}", "not JSON"),
        ("a.b=[1]", "not a JSON object"),
        ('a.b="text"', "not a JSON object"),
        ('a.b={"x": NaN}', "NaN is no JSON number"),
        ('a.b={"x": -Infinity}', "-Infinity is no JSON number"),
        ("a.b=@/nowhere/at/all.json", "cannot be read"),
        ("a.b=" + "[" * 100_000, "not JSON"),
    ],
)
def test_refusals(text: str, why: str) -> None:
    """What is written wrongly is a usage error that says why, however long it is."""
    with pytest.raises(UsageError, match=why) as raised:
        parse(text)
    assert len(raised.value.message) < 300


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe{}", "not UTF-8"), (b" " * (MAX_CONFIG_BYTES + 1), "larger than"), (b"", "not JSON")],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, why: str) -> None:
    """A wrong or huge file is refused by name."""
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        parse(f"a.b=@{path}")
