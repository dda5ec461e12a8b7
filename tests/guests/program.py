"""The real program, run as a user runs it, for tests that need it beside a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


class Program:
    """The real program in a home of its own.

    Args:
        folder: where the home comes to lie.
        secret: must never be printed.
    """

    def __init__(self, folder: Path, secret: str = "") -> None:
        self._secret = secret
        self._environment = {**os.environ, "STELLATUNE_HOME": str(folder / "home"), "PYTHONWARNINGS": "error"}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start it and go on."""
        process = subprocess.Popen(
            [sys.executable, "-m", "stellatune_plugins", *map(str, arguments)],
            env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._running.append(process)
        return process

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run it to its end; gives what it printed, of both kinds."""
        out, err = self.start(*arguments).communicate(timeout=100)
        assert self._running[-1].returncode == code, out + err
        assert not self._secret or self._secret not in out + err
        return out if code == 0 else out + err

    def close(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()
