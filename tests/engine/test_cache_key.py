"""What compiled code's name depends on."""

from __future__ import annotations

import msgspec
import pytest

from stellatune_plugins.engine import cache_key
from stellatune_plugins.engine.cache_key import Target, code_key, this_target
from stellatune_plugins.engine.config import EngineSettings
from stellatune_plugins.engine.wasm_kind import CodeKind

TARGET = Target("50.0.1", "x86_64", ("avx", "sse"))
SETTINGS = EngineSettings()


def _key(**changes: object) -> bytes:
    parts: dict[str, object] = {"wasm": b"w", "kind": CodeKind.MODULE, "settings": SETTINGS, "target": TARGET}
    return code_key(**{**parts, **changes})  # type: ignore[arg-type]  # typed by the cases below


@pytest.mark.parametrize(
    "changes",
    [
        {"wasm": b"v"},
        {"kind": CodeKind.COMPONENT},
        *({"settings": changed} for changed in (EngineSettings(opt_level="none"), EngineSettings(max_wasm_stack=1))),
        {"settings": EngineSettings(parallel_compilation=False)},
        {"target": Target("50.0.2", "x86_64", ("avx", "sse"))},
        {"target": Target("50.0.1", "aarch64", ("avx", "sse"))},
        {"target": Target("50.0.1", "x86_64", ("sse",))},
    ],
)
def test_every_part_counts(changes: dict[str, object]) -> None:
    """Other content, kind, setting, wasmtime, machine or processor feature: another key."""
    assert _key(**changes) != _key()


def test_the_formats_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new layout of the cache has nothing in common with the old one."""
    before = _key()
    monkeypatch.setattr(cache_key, "FORMAT", cache_key.FORMAT + 1)
    assert _key() != before


def test_the_fixed_switches_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change to the configuration that is no setting gives another key as well."""
    before = _key()
    monkeypatch.setattr(cache_key, "_fixed_config", lambda: "another source")
    assert _key() != before


def test_equal_parts_give_an_equal_key() -> None:
    """The key depends on values alone."""
    assert _key(settings=EngineSettings(), target=msgspec.structs.replace(TARGET)) == _key()
    assert len(_key()) == 32


def test_this_machine_has_a_target() -> None:
    """The pinned compiler, the architecture and, on Linux, its processor's features are known."""
    target = this_target()
    assert target.wasmtime.startswith("50.")
    assert target.machine
    assert target.cpu == tuple(sorted(target.cpu))
    assert target.cpu
