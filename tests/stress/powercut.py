"""Runs operations on the plugin store and cuts the power in the middle: the program behind test_package_powercut.py.

It is a program of its own because it forks a child for every cut, which a test process with threads must not.

    powercut.py simulate SCENARIO MODE STRIDE    cut before every STRIDE-th changing call; prints the outcome as JSON
    powercut.py journal SCENARIO MODE            print every changing call as JSON
    powercut.py prepare SCENARIO HOME            make the state before the operation
    powercut.py operate SCENARIO HOME            run the operation, for a tracer that cuts at system calls
    powercut.py check SCENARIO HOME              recover, and say as JSON which state is there

MODE: exchange (names are swapped in one step), renames (in three), careless (exchange, and nothing counts as synced).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stellatune_plugins.errors import PluginNotInstalled, StoreFailed
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore
from stellatune_plugins.package.fsops import FsOps

ID = "org.example.gain"

# What a power cut does to data that was not synced, on top of stopping the program.
DAMAGES = ("none", "emptied", "halved", "zeroed", "unnamed")


# --- scenarios: a state before, an operation, the states that may be there afterwards --------------------------------


def package(home: Path, version: str) -> Path:
    """A package with a few files; every version has other ones."""
    root = home / f"source-{version}"
    component = {
        "id": "main",
        "path": "wasm/gain.wasm",
        "world": "stellatune:plugin/dsp-plugin@0.1.0",
        "abilities": [{"kind": "dsp", "type_id": "gain"}],
    }
    manifest = {"schema_version": 1, "id": ID, "name": "Gain", "version": version, "api_version": 1}
    files = {
        "plugin.json": json.dumps({**manifest, "components": [component]}).encode(),
        "wasm/gain.wasm": b"\0asm\x0d\x00\x01\x00" + version.encode(),
        "assets/same.txt": b"the same in all versions",
        f"assets/only-{version}.txt": version.encode() * 1000,
    }
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def nothing(_home: Path, _store: InstallStore) -> None:
    """A folder without a store in it."""


def first(home: Path, store: InstallStore) -> None:
    """One version installed."""
    store.install(package(home, "1"))


def second(home: Path, store: InstallStore) -> None:
    """A version installed and one kept."""
    first(home, store)
    store.upgrade(package(home, "2"))


def leaving(home: Path, store: InstallStore) -> None:
    """A removal that is pending."""
    second(home, store)
    store.uninstall(ID, defer=True)


def install(home: Path, store: InstallStore) -> None:
    """Install version 3."""
    store.install(home / "source-3")


def upgrade(home: Path, store: InstallStore) -> None:
    """Upgrade to version 3."""
    store.upgrade(home / "source-3")


def rollback(_home: Path, store: InstallStore) -> None:
    """Go back."""
    store.rollback(ID)


def uninstall(_home: Path, store: InstallStore) -> None:
    """Remove."""
    store.uninstall(ID)


def defer(_home: Path, store: InstallStore) -> None:
    """Mark for removal."""
    store.uninstall(ID, defer=True)


def recover(_home: Path, store: InstallStore) -> None:
    """Clean up."""
    store.recover()


def cut_after(count: int, operation: Callable[[Path, InstallStore], None]) -> Callable[[Path, InstallStore], None]:
    """A state in which ``operation`` on version 2 was cut when ``count`` switching calls were done."""

    def prepare(home: Path, store: InstallStore) -> None:
        second(home, store)
        package(home, "3")
        switching = SwitchCut(count, can_exchange=store._fs.can_exchange)
        with contextlib.suppress(Cut):
            operation(home, InstallStore(home / "plugins", EventBus(), fs=switching))

    return prepare


State = tuple[str, str] | None
"""Installed and kept version; ``-`` for no kept one; ``None`` where nothing is installed."""

Prepare = Callable[[Path, InstallStore], None]

SCENARIOS: dict[str, tuple[Prepare, Prepare, list[State]]] = {
    "install": (nothing, install, [None, ("3", "-")]),
    "upgrade": (first, upgrade, [("1", "-"), ("3", "1")]),
    "upgrade-again": (second, upgrade, [("2", "1"), ("3", "2")]),
    "rollback": (second, rollback, [("2", "1"), ("1", "2")]),
    "uninstall": (second, uninstall, [("2", "1"), None]),
    "uninstall-deferred": (second, defer, [("2", "1"), None]),
    "install-while-leaving": (leaving, install, [None, ("3", "-")]),
    "recover-removal": (leaving, recover, [None]),
    "recover-upgrade-1": (cut_after(1, upgrade), recover, [("2", "1"), ("3", "2")]),
    "recover-upgrade-2": (cut_after(2, upgrade), recover, [("2", "1"), ("3", "2")]),
    "recover-upgrade-4": (cut_after(4, upgrade), recover, [("2", "1"), ("3", "2")]),
    "recover-upgrade-5": (cut_after(5, upgrade), recover, [("2", "1"), ("3", "2")]),
    "recover-rollback-1": (cut_after(1, rollback), recover, [("2", "1"), ("1", "2")]),
    "recover-rollback-2": (cut_after(2, rollback), recover, [("2", "1"), ("1", "2")]),
    "recover-uninstall-1": (cut_after(1, uninstall), recover, [None]),
}


def state_of(home: Path, *, problems: list[str]) -> State:
    """What is there after recovery; everything that is not whole goes to ``problems``."""
    store = InstallStore(home / "plugins", EventBus())
    store.recover()
    scan = store.scan()
    problems += [f"damaged: {d}" for d in scan.damaged]
    problems += [f"still pending: {p}" for p in scan.pending]
    staging = home / "plugins/.staging"
    problems += [f"left in staging: {p.name}" for p in (staging.iterdir() if staging.exists() else ())]
    try:
        info = store.info(ID)
    except PluginNotInstalled:
        return None
    except StoreFailed as error:
        problems.append(str(error))
        return "damaged", "-"
    for plugin in (info.installed, info.previous):
        if plugin is not None:
            problems += _mixed(home, plugin)
    return info.installed.version, info.previous.version if info.previous else "-"


def _mixed(home: Path, plugin: Any) -> list[str]:
    """Compare a version with its source, file by file."""
    source = home / f"source-{plugin.version}"
    wanted = {str(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    root = plugin.root
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    found.pop(".install.json", None)
    return [] if wanted == found else [f"version {plugin.version} is not as its source"]


# --- cutting ---------------------------------------------------------------------------------------------------------


class Cut(BaseException):
    """The power is gone, for a preparation that goes on in the same process."""


class SwitchCut(FsOps):
    """Stops after so many renames; from then on nothing changes any more, not even by clean-up code."""

    def __init__(self, count: int, *, can_exchange: bool) -> None:
        self.left = count
        self.can_exchange = can_exchange

    def before(self, call: str, *paths: Path) -> None:
        """Stop here where the count is used up."""
        if self.left == 0:
            raise Cut

    def after(self, call: str, *paths: Path) -> None:
        """Count switches."""
        if call in {"rename", "exchange"}:
            self.left -= 1


class Recorder(FsOps):
    """Knows at any time what a power cut would take: data and names that were not synced."""

    def __init__(self, *, can_exchange: bool, cut_before: int = 0, report: int = -1, careless: bool = False) -> None:
        self.can_exchange = can_exchange
        self.cut_before = cut_before
        self.report = report
        self.careless = careless
        self.calls: list[tuple[str, list[str]]] = []
        self.unsynced: set[str] = set()
        self.unnamed: set[str] = set()

    def before(self, call: str, *paths: Path) -> None:
        """Count; at the chosen call, tell what is lost and die at once."""
        self.calls.append((call, [str(p) for p in paths]))
        if len(self.calls) == self.cut_before:
            lost = {"unsynced": sorted(self.unsynced), "unnamed": sorted(self.unnamed)}
            os.write(self.report, json.dumps(lost).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, call: str, *paths: Path) -> None:
        """Follow what is synced and what is not."""
        path = str(paths[0])
        if self.careless and call in {"fsync", "fsync-folder"}:
            return  # as if the store had never synced: for the proof that the proof notices
        if call in {"create", "mkdir"}:
            self.unnamed.add(path)
        if call in {"create", "write"}:
            self.unsynced.add(path)
        elif call == "fsync":
            self.unsynced.discard(path)
        elif call == "fsync-folder":
            self.unnamed = {p for p in self.unnamed if str(Path(p).parent) != path}
        elif call in {"unlink", "rmdir"}:
            self.unsynced.discard(path)
            self.unnamed.discard(path)
        elif call in {"rename", "replace", "exchange"}:
            self._follow(path, str(paths[1]), swap=call == "exchange")

    def _follow(self, source: str, target: str, *, swap: bool) -> None:
        """What lies below a name that moves is lost or kept under its new name."""

        def moved(path: str) -> str:
            if path == source or path.startswith(source + "/"):
                return target + path[len(source) :]
            if swap and (path == target or path.startswith(target + "/")):
                return source + path[len(target) :]
            return path

        self.unsynced = {moved(path) for path in self.unsynced}
        self.unnamed = {moved(path) for path in self.unnamed}


def damage(kind: str, lost: dict[str, list[str]]) -> None:
    """Do to the disk what the cut does to unsynced data."""
    if kind == "unnamed":
        for text in lost["unnamed"]:
            path = Path(text)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return
    for text in lost["unsynced"]:
        path = Path(text)
        if path.exists():
            size = path.stat().st_size
            os.truncate(path, size // 2 if kind == "halved" else 0)
            if kind == "zeroed":
                os.truncate(path, size)


def cut(
    home: Path, operation: Prepare, number: int, *, can_exchange: bool, careless: bool
) -> dict[str, list[str]] | None:
    """Run the operation in a child that dies before its call ``number``; ``None`` where it came to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        fs = Recorder(can_exchange=can_exchange, cut_before=number, report=writing, careless=careless)
        code = 1
        try:
            operation(home, InstallStore(home / "plugins", EventBus(), fs=fs))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        if os.WEXITSTATUS(status):
            raise RuntimeError(f"the operation failed before the cut at call {number}")
        return None
    lost: dict[str, list[str]] = json.loads(report)
    return lost


def prepared(name: str, home: Path, *, can_exchange: bool) -> None:
    """Make the state before the operation."""
    fs = FsOps()
    fs.can_exchange = can_exchange
    package(home, "3")
    SCENARIOS[name][0](home, InstallStore(home / "plugins", EventBus(), fs=fs))


def simulate(name: str, mode: str, stride: int) -> dict[str, Any]:
    """Cut everywhere; the outcome with how often which state was there."""
    can_exchange = mode != "renames"
    _, operation, allowed = SCENARIOS[name]
    outcome: dict[str, Any] = {"calls": 0, "points": 0, "states": {}, "failures": []}
    with tempfile.TemporaryDirectory() as folder:
        template, home, cut_home = (Path(folder) / name for name in ("template", "home", "cut"))
        template.mkdir()
        prepared(name, template, can_exchange=can_exchange)
        number = 1
        lost: dict[str, list[str]] | None = {}
        while lost is not None:
            shutil.copytree(template, home)
            lost = cut(home, operation, number, can_exchange=can_exchange, careless=mode == "careless")
            home.rename(cut_home)
            for kind in DAMAGES:
                if kind != "none" and (lost is None or not lost["unnamed" if kind == "unnamed" else "unsynced"]):
                    continue
                shutil.copytree(cut_home, home)  # in the place where it was cut, since what is lost has paths
                if lost is not None and kind != "none":
                    damage(kind, lost)
                problems: list[str] = []
                state = state_of(home, problems=problems)
                if state not in allowed:
                    problems.append(f"neither the old nor the new state: {state}")
                if lost is None and operation is not recover and state != allowed[-1]:
                    problems.append(f"the operation ended in {state}")
                outcome["points"] += 1
                outcome["states"][str(state)] = outcome["states"].get(str(state), 0) + 1
                outcome["failures"] += [f"call {number}, {kind}: {p}" for p in problems]
                shutil.rmtree(home)
            shutil.rmtree(cut_home)
            outcome["calls"] = number - 1
            number += stride if lost is not None else 0
    return outcome


def journal(name: str, *, can_exchange: bool) -> list[tuple[str, list[str]]]:
    """Every changing call of an operation that runs to its end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prepared(name, home, can_exchange=can_exchange)
        fs = Recorder(can_exchange=can_exchange)
        SCENARIOS[name][1](home, InstallStore(home / "plugins", EventBus(), fs=fs))
        return fs.calls


def main(command: str, name: str, *arguments: str) -> None:
    """See the module's docstring."""
    if command == "simulate":
        mode, stride = arguments
        print(json.dumps(simulate(name, mode, int(stride))))  # noqa: T201 - output
    elif command == "journal":
        print(json.dumps(journal(name, can_exchange=arguments[0] == "exchange")))  # noqa: T201 - output
    elif command == "prepare":
        prepared(name, Path(arguments[0]), can_exchange=True)
    elif command == "operate":
        home = Path(arguments[0])
        store = InstallStore(home / "plugins", EventBus())
        os.chdir(home)  # the tracer's sign that the operation begins
        SCENARIOS[name][1](home, store)
        os.chdir("/")  # ... and that it ended
    else:
        problems: list[str] = []
        state = state_of(Path(arguments[0]), problems=problems)
        print(json.dumps({"state": state, "problems": problems}))  # noqa: T201 - output


if __name__ == "__main__":
    main(*sys.argv[1:])
