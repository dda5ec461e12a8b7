"""Ending every descendant, however deep and however it was left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection
from typing import Final

_SHORTEST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.05


def descendants(root: int) -> list[int]:
    """Process ids below ``root`` as ``/proc`` shows them now, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not imported in these processes
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                children.setdefault(_parent(entry), []).append(int(entry))
    found: list[int] = []
    wave = children.get(root, [])
    while wave:
        found += wave
        wave = [child for pid in wave for child in children.get(pid, [])]
    return found


def _has_children() -> bool:
    """Whether there is any child, buried ones apart. A subreaper without children has no descendants."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _parent(pid: str) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - likewise
        # The second field is the program's name in parentheses, with whatever that has in it.
        return int(file.read().rpartition(b")")[2].split()[1])


def end_descendants(*, spare: Collection[int] = ()) -> None:
    """Kill and reap every descendant of this process, which must be their subreaper, until none is left.

    A process that forks faster than it is found is found in the next round: whatever it leaves is ours by then.
    ``spare`` are children that stay, with everything below them.
    """
    pause = _SHORTEST_PAUSE
    while spare or _has_children():
        kept = {pid for child in spare for pid in (child, *descendants(child))}
        left = [pid for pid in descendants(os.getpid()) if pid not in kept]
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):  # somebody else's child until its parent is gone
                os.waitpid(pid, os.WNOHANG)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)  # what waits for a disk or a network does not die at once
