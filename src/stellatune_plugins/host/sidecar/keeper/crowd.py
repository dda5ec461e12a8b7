"""How many processes and threads a sidecar may have, by the best means at hand.

The kernel counts a user's processes against ``RLIMIT_NPROC``, in a user namespace of its own those in there alone. It
exempts root, for whom a control group counts where one can be made; where none can, the keeper looks and ends a
sidecar that has too many.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import Final, Self

from .reaper import descendants

_LOOK_EVERY: Final = 0.2


class Crowd:
    """The limit of one sidecar, from before its start until nothing of it is left.

    Args:
        limit: processes and threads together; None for no limit.
        own_namespace: the sidecar gets a user namespace.
    """

    def __init__(self, limit: int | None, *, own_namespace: bool) -> None:
        self._limit = limit
        self._group: str | None = None
        self._own_namespace = own_namespace
        self._exempt = os.getuid() == 0
        if limit is not None and self._exempt:
            self._group = _make_group(limit)

    def enter(self) -> None:
        """In the process that is to become the sidecar."""
        if self._group is not None:
            try:
                # Of the older kind: for one thread, which this process has, it does without a lock that takes 8 ms.
                _write(f"{self._group}/tasks", "0")
            except FileNotFoundError:
                _write(f"{self._group}/cgroup.procs", "0")
        elif self._limit is not None and not self._own_namespace:
            most = self._limit + _tasks_of(os.getuid())
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))

    def limit_namespace(self, pid: int) -> None:
        """For the first process of the sidecar's user namespace, before it has children."""
        if self._limit is not None:
            # Two more: the namespace's first process, and the one that turns into the sidecar.
            resource.prlimit(pid, resource.RLIMIT_NPROC, (self._limit + 2, self._limit + 2))

    @property
    def look_every(self) -> float | None:
        """Seconds between two calls of :meth:`too_many`; None where the kernel counts."""
        return _LOOK_EVERY if self._limit is not None and self._exempt and self._group is None else None

    def too_many(self) -> bool:
        """Whether there are more of them now than there may be."""
        return self._limit is not None and len(descendants(os.getpid())) > self._limit + 2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._group is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self._group)  # noqa: PTH106 - likewise


def _make_group(limit: int) -> str | None:
    """A control group below this process's own; None where that cannot be."""
    for parent, unified in _group_folders():
        folder = f"{parent}/stellatune-sidecar-{os.getpid()}"
        try:
            if unified:
                with contextlib.suppress(OSError):
                    _write(f"{parent}/cgroup.subtree_control", "+pids")
            os.mkdir(folder)  # noqa: PTH102 - likewise
        except OSError:
            continue
        try:
            _write(f"{folder}/pids.max", str(limit))
        except OSError:
            os.rmdir(folder)  # noqa: PTH106 - likewise
            continue
        return folder
    return None


def _group_folders() -> list[tuple[str, bool]]:
    """Where this process's groups may be: the folder, and whether it is of the unified hierarchy."""
    found: list[tuple[str, bool]] = []
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:  # noqa: PTH123 - likewise
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return found
    for number, controllers, path in lines:
        if number == "0" and not controllers:
            found += [(f"{root}{path}".rstrip("/"), True) for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")]
        elif "pids" in controllers.split(","):
            found.append((f"/sys/fs/cgroup/{controllers}{path}".rstrip("/"), False))
    return found


def _write(path: str, text: str) -> None:
    # Never made: a file that is not there means a folder that is no control group.
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _tasks_of(user: int) -> int:
    """Processes and threads that the user has now."""
    count = 0
    for entry in os.listdir("/proc"):  # noqa: PTH208 - likewise
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if os.stat(f"/proc/{entry}").st_uid == user:  # noqa: PTH116 - likewise
                    with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123 - likewise
                        count += int(file.read().rpartition(b")")[2].split()[17])
    return count
