"""What a terminal sees while something takes long."""

from __future__ import annotations

import io
import sys

import pytest

from stellatune_plugins.cli.progress import CompileNote


class Terminal(io.StringIO):
    """Standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_long_compilation_is_said_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, written over, and gone at the end; names in it cannot drive the terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    note = CompileNote()
    note("wasm/evil\x1b[2J.wasm", 1.5)
    note("b.wasm", 2.6)
    note.clear()
    note.clear()
    lines = terminal.getvalue().split("\r")
    assert lines[1] == "compiling wasm/evil\\u001b[2J.wasm ... 2 s"
    assert lines[2].rstrip() == "compiling b.wasm ... 3 s"
    assert len(lines[2]) == len(lines[1])
    assert lines[3].strip() == lines[4] == ""
    assert "\x1b" not in terminal.getvalue()


def test_a_pipe_gets_no_progress(capfd: pytest.CaptureFixture[str]) -> None:
    """Logs of automated runs stay readable."""
    note = CompileNote()
    note("a.wasm", 1.5)
    note.clear()
    assert capfd.readouterr() == ("", "")
