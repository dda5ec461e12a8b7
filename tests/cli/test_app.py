"""What happens round every command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stellatune_plugins
from stellatune_plugins.cli.app import run as run_here
from stellatune_plugins.cli.workbench import Workbench

Run = Callable[..., Any]  # the conftest's Result
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def broken_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands with a fault of ours in them."""

    def fail(_: Workbench) -> None:
        raise RuntimeError("boom\x1b[2J")

    monkeypatch.setattr(Workbench, "__enter__", fail)


@pytest.mark.usefixtures("broken_commands")
def test_a_fault_of_ours_is_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An exception that nobody expected is error[internal]; the traceback is in the log."""
    assert run_here(["plugin", "list", "--home", str(tmp_path)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "error[internal]: RuntimeError: boom\\u001b[2J"
    assert "Traceback" not in err
    log = tmp_path / "logs" / "stellatune.jsonl"
    assert str(log) in err
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["event"] == "cli.unexpected"
    assert "RuntimeError: boom" in line["traceback"]


@pytest.mark.usefixtures("broken_commands")
def test_debug_prints_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With --debug the traceback is on standard error, before the message."""
    assert run_here(["plugin", "list", "--home", str(tmp_path), "--debug"]) == 1
    err = capfd.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert "error[internal]" in err


@pytest.mark.usefixtures("broken_commands")
def test_a_home_that_cannot_be_written_hides_no_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where not even the log can be kept, the failure itself is still shown."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run_here(["plugin", "list", "--home", str(blocked), "--json"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert json.loads(out)["error"]["code"] == "internal"


def test_a_reader_that_goes_is_no_fault(start: Start) -> None:
    """``stellatune ... | head`` ends quietly."""
    process = start("plugin", "list", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(30) in {0, 1}
    assert err == b""


def test_the_version_needs_no_framework(run: Run) -> None:
    """--version answers without loading anything heavy, and alone on its line."""
    result = run("--version")
    assert (result.code, result.out) == (0, f"stellatune {stellatune_plugins.__version__}\n")
    code = "import sys, stellatune_plugins.cli as c; c.main(['--version']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert not {"cyclopts", "rich", "numpy", "wasmtime", "msgspec"} & set(loaded)


def test_help_loads_no_engine() -> None:
    """Neither --help nor the help of render waits for numpy, the decoder or wasmtime."""
    code = "import sys, stellatune_plugins.cli as c; c.main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    for arguments in (["--help"], ["render", "--help"], ["plugin", "install", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert "Usage: stellatune" in done.stdout
        assert not {"numpy", "av", "wasmtime", "matplotlib"} & set(done.stderr.split())


def test_the_home_may_come_from_the_environment(run: Run, home: Path, tmp_path: Path) -> None:
    """STELLATUNE_HOME names the home, and --home has the last word."""
    run("plugin", "install", "gain")
    assert (home / "plugins" / "dev.stellatune.gain").is_dir()
    assert run("plugin", "list", "--home", tmp_path / "other", "--json").json["installed"] == []


@pytest.mark.parametrize("command", ["instal", "--nonsense", "plugin nonsense", "plugin info"])
def test_what_is_no_command_is_usage(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, as text and as JSON."""
    assert run_here(command.split()) == 2
    assert capfd.readouterr().err.startswith("error[usage]: ")
    assert run_here([*command.split(), "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "usage"
