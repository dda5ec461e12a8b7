"""``stellatune doctor``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.cli.checks import certificates
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.workbench import Workbench

Run = Callable[..., Any]  # the conftest's Result

GAIN = "dev.stellatune.gain"


def graded(result: Any, check: str) -> list[str]:
    """The grades of one check's findings."""
    return [finding["grade"] for finding in result.json["checks"] if finding["check"] == check]


def test_a_sound_installation_passes(run: Run) -> None:
    """Everything is looked at, nothing fails, and the plugin was really enabled."""
    run("plugin", "install", "gain")
    result = run("doctor", "--json")
    assert (result.code, result.json["ok"]) == (0, True)
    checks = {finding["check"] for finding in result.json["checks"]}
    assert checks == {
        "python",
        "extras",
        "home",
        "engine",
        "cache",
        "plugins",
        "native",
        "programs",
        "certificates",
        "grants",
        "sidecars",
    }
    assert graded(result, "plugins") == ["ok"]
    assert "failed" not in graded(result, "native")
    [extras] = [finding["text"] for finding in result.json["checks"] if finding["check"] == "extras"]
    assert all(
        name in extras for name in ("av", "mutagen", "soundfile", "soxr", "miniaudio", "matplotlib", "watchfiles")
    )
    text = run("doctor")
    assert text.code == 0
    assert f"{GAIN} 1.0.0: as installed, keeps to its world" in text.out


def test_a_machine_that_trusts_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failure: not every plugin wants https."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with Workbench(Common(home=tmp_path)) as bench:
        (finding,) = certificates(bench)
        assert finding.grade == "note"
        assert "SSL_CERT_FILE" in (finding.hint or "")
        monkeypatch.setenv("SSL_CERT_FILE", __file__)
        (finding,) = certificates(bench)
        assert finding.grade == "ok"


def test_a_tampered_plugin_is_found(run: Run, home: Path) -> None:
    """A plugin whose code was changed is never enabled; the exit code is 1, and the rest is looked at all the same."""
    run("plugin", "install", "gain")
    wasm = home / "plugins" / GAIN / "wasm" / "gain.wasm"
    wasm.chmod(0o644)
    wasm.write_bytes(b"\0asm\1\0\0\0")
    result = run("doctor", "--json")
    assert (result.code, result.json["ok"]) == (1, False)
    assert graded(result, "plugins") == ["failed"]
    assert graded(result, "programs")


def test_a_home_that_others_can_write_is_found(run: Run, home: Path) -> None:
    """Whoever may write the home may replace plugins: that fails."""
    home.mkdir()
    home.chmod(0o777)
    result = run("doctor", "--json")
    assert result.code == 1
    assert graded(result, "home") == ["failed"]


def test_a_home_that_cannot_be_made_is_found(run: Run, tmp_path: Path) -> None:
    """A file where the home should be is a failed check, not a crash."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = run("doctor", "--home", blocked, "--json")
    assert result.code == 1
    assert graded(result, "home") == ["failed"]
