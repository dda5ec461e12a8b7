"""The real program, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.cli.bundled import bundled_packages

GAIN = "dev.stellatune.gain"


@dataclass(frozen=True)
class Result:
    """What one run gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it should be."""
        return json.loads(self.out)


Run = Callable[..., Result]


def argv(*arguments: str | Path) -> list[str]:
    """The program with arguments, without relying on a script in a folder."""
    return [sys.executable, "-m", "stellatune_plugins", *map(str, arguments)]


def environment(home: Path) -> dict[str, str]:
    """A user's environment with a home of the test's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV_", "NO_COLOR", "COLUMNS", "STELLATUNE_"))
    }
    return kept | {"STELLATUNE_HOME": str(home), "PYTHONWARNINGS": "error", "TERM": "xterm"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Run the program in this home."""

    def run(*arguments: str | Path) -> Result:
        done = subprocess.run(
            argv(*arguments),
            env=environment(home),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the program and go on; what still runs at the test's end is killed.

    Keywords replace what :class:`subprocess.Popen` gets.
    """
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str | Path, **others: Any) -> subprocess.Popen[bytes]:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            argv(*arguments), env=environment(home), **(streams | others)
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def gain_package(tmp_path: Path) -> Callable[[str], Path]:
    """Make zips of the gain plugin in any version."""

    def make(version: str) -> Path:
        path = tmp_path / f"gain-{version}.zip"
        folder = bundled_packages()[GAIN]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    data = file.read_bytes()
                    if file.name == "plugin.json":
                        data = json.dumps(json.loads(data) | {"version": version}).encode()
                    archive.writestr(file.relative_to(folder).as_posix(), data)
        return path

    return make
