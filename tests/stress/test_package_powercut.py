"""The power goes off in the middle of installing, upgrading, rolling back, removing and recovering.

Two ways: a cut before every changing call that the store makes, with what was not synced damaged in four ways; and a
real kill at every changing system call, by strace. Whatever the moment, after the next start the old or the new state
is there, file by file as in its source, and nothing is left of the work.

By default the four main operations are cut at every call (every second one where names are not swapped in one step),
the rest at every fourth, and killed at a few system calls; with ``STELLATUNE_STRESS`` from 20 on at every call, from
100 on at every system call.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("powercut.py")
SIZE = max(1, int(os.environ.get("STELLATUNE_STRESS", "0")) // 10)

MAIN = ["install", "upgrade-again", "rollback", "uninstall"]
OTHERS = [
    "upgrade", "uninstall-deferred", "install-while-leaving", "recover-removal", "recover-upgrade-1",
    "recover-upgrade-2", "recover-upgrade-4", "recover-upgrade-5", "recover-rollback-1", "recover-rollback-2",
    "recover-uninstall-1",
]  # fmt: skip

OLD_AND_NEW = {
    "install": ["None", "('3', '-')"],
    "upgrade-again": ["('2', '1')", "('3', '2')"],
    "rollback": ["('2', '1')", "('1', '2')"],
    "uninstall": ["('2', '1')", "None"],
}

pytestmark = [pytest.mark.stress, pytest.mark.timeout(60 * max(2, SIZE))]


def run(*arguments: object) -> Any:
    """Run the program and give what it prints."""
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else None


# --- at the store's own calls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exchange", "renames"])
@pytest.mark.parametrize("name", MAIN)
def test_a_cut_at_any_call_leaves_the_old_or_the_new_state(name: str, mode: str) -> None:
    """Each main operation, cut before each of its changing calls: both states occur, and no third."""
    outcome = run("simulate", name, mode, 1 if mode == "exchange" or SIZE > 1 else 2)

    assert outcome["failures"] == []
    assert sorted(outcome["states"]) == sorted(OLD_AND_NEW[name])
    assert outcome["calls"] > 5
    assert outcome["points"] * 2 >= outcome["calls"]


@pytest.mark.parametrize("mode", ["exchange", "renames"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_cut_in_rarer_operations_and_in_recovery_itself_does_no_harm(name: str, mode: str) -> None:
    """The same for first upgrades, deferred removals, and for a recovery that is cut itself."""
    outcome = run("simulate", name, mode, 1 if SIZE > 1 else 4)

    assert outcome["failures"] == []
    assert outcome["points"] > 0


def test_the_proof_notices_a_store_that_does_not_sync() -> None:
    """Were nothing ever synced, cuts after the switch would leave damaged packages, and the proof says so."""
    outcome = run("simulate", "upgrade", "careless", 3)

    assert any("damaged" in failure for failure in outcome["failures"])


@pytest.mark.parametrize("mode", ["exchange", "renames"])
@pytest.mark.parametrize("name", [*MAIN, "upgrade"])
def test_every_switch_is_synced_before_anything_else_changes(name: str, mode: str) -> None:
    """After a rename come the syncs of both folders, so file systems that reorder renames do no harm either."""
    calls = run("journal", name, mode)

    switches = [index for index, (call, _) in enumerate(calls) if call in {"rename", "exchange"}]
    assert switches
    for index in switches:
        call, (source, target) = calls[index]
        following = {(after, paths[0]) for after, paths in calls[index + 1 : index + 3]}
        if call == "exchange" and calls[index + 1][0] == "rename":
            continue  # the system cannot swap; the renames that do instead are looked at in turn
        assert following == {("fsync-folder", str(Path(p).parent)) for p in (source, target)}


# --- at real system calls --------------------------------------------------------------------------------------------

SYSCALLS = [
    "openat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "write", "pwrite64",
    "fsync", "fdatasync", "fchmod", "chmod", "ftruncate", "truncate", "flock", "link", "symlink", "close",
]  # fmt: skip
CHANGING_OPEN = re.compile(r"O_CREAT|O_TRUNC|O_WRONLY|O_RDWR")


def traced(name: str, home: Path, log: Path, *inject: str) -> list[tuple[str, str]]:
    """Run an operation under strace; gives its system calls as name and line, in order, markers included."""
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join([*SYSCALLS, 'chdir'])}", *inject]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [*command, sys.executable, str(PROGRAM), "operate", name, str(home)],
        check=False,
        capture_output=True,
        env=environment,
    )
    lines = [re.match(r"\d+ +(\w+)\((.*)", line) for line in log.read_text(errors="replace").splitlines()]
    return [(match[1], match[2]) for match in lines if match]


def cutting_points(calls: list[tuple[str, str]]) -> list[tuple[str, int]]:
    """Each changing system call of the operation, as its name and its count since the process began."""
    counts: dict[str, int] = {}
    points = []
    inside = False
    for call, line in calls:
        if call == "chdir":
            inside = not inside
            continue
        counts[call] = counts.get(call, 0) + 1
        if inside and call != "close" and (call != "openat" or CHANGING_OPEN.search(line)):
            points.append((call, counts[call]))
    return points


@pytest.mark.needs("strace")
@pytest.mark.parametrize("name", MAIN)
def test_a_kill_at_any_system_call_leaves_the_old_or_the_new_state(name: str, tmp_path: Path) -> None:
    """The process is killed as it enters a changing system call; the next start finds one whole state."""
    home = tmp_path / "home0"
    home.mkdir()
    run("prepare", name, home)
    points = cutting_points(traced(name, home, tmp_path / "log"))
    assert len(points) > 10
    chosen = points if SIZE >= 10 else points[:: max(1, len(points) // (4 * SIZE))]

    found = []
    for number, (call, count) in enumerate(chosen, start=1):
        cut_home = tmp_path / f"home{number % 10}-{number}"
        cut_home.mkdir()
        run("prepare", name, cut_home)
        calls = traced(name, cut_home, tmp_path / "log", "-e", f"inject={call}:signal=KILL:when={count}")
        assert "SIGKILL" in (tmp_path / "log").read_text(errors="replace")
        assert [c for c, _ in calls].count("chdir") == 1, "the kill missed the operation"
        outcome = run("check", name, cut_home)
        assert outcome["problems"] == [], (call, count)
        found.append(str(None if outcome["state"] is None else tuple(outcome["state"])))

    assert set(found) <= set(OLD_AND_NEW[name])
    assert SIZE < 10 or set(found) == set(OLD_AND_NEW[name])
