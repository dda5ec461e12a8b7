"""A keeper: above one sidecar, from its start until nothing of it is left."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from . import confine
from .clearing import remove
from .crowd import Crowd
from .kernel import PR_SET_CHILD_SUBREAPER, prctl
from .plan import KILL, MAX_MESSAGE, STOP, Plan, is_readable
from .reaper import descendants, end_descendants

_START_SECONDS: Final = 10.0
"""For bubblewrap to make its namespaces."""
_POLL_SECONDS: Final = 0.0005


class _Failed(Exception):
    """The sidecar could not be started."""


class Keeper:
    """Runs in a process of its own.

    Messages to the host: ``{"started": pid, "seconds": s}`` with a pidfd that tells of the end, then at the end of it
    all ``{"exited": code}``, the code by the shell's convention, 128 and the number for a signal; or instead of both
    ``{"failed": text}``.

    Args:
        host: pidfd of the host's process.
        descriptors: as :mod:`.plan` says.
    """

    def __init__(self, host: int, descriptors: Sequence[int]) -> None:
        self._plan = Plan.read(descriptors[0])
        self._floor = confine.floor_of(self._plan)
        self._host = confine.above(host, self._floor)
        channel, *others = (confine.above(descriptor, self._floor) for descriptor in descriptors[1:])
        self._channel = socket.socket(fileno=channel)
        self._streams = others[:3]
        self._extra = others[3:]
        self._told: BinaryIO | None = None
        self._first = 0
        """The child: the sidecar, or the bubblewrap round it."""

    def run(self) -> None:
        """Everything."""
        began = time.monotonic()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        with Crowd(self._plan.limits.processes, own_namespace=self._plan.tier == "bubblewrap") as crowd:
            try:
                sidecar = self._start(crowd)
            except (OSError, ValueError, KeyError, _Failed) as error:
                end_descendants()
                self._say(failed=str(error))
                return
            ended = os.pidfd_open(self._first)
            started = json.dumps({"started": sidecar, "seconds": time.monotonic() - began}).encode()
            with contextlib.suppress(OSError):
                socket.send_fds(self._channel, [started], [ended])
            code = self._watch(sidecar, ended, crowd)
        if self._host_is_gone():
            remove(self._plan.private)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self._plan.private))  # noqa: PTH106, PTH120 - no pathlib here
        self._say(exited=code)

    def _say(self, **message: Any) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps(message).encode()[:MAX_MESSAGE])

    # --- the start ---------------------------------------------------------------------------------------------------

    def _start(self, crowd: Crowd) -> int:
        """Start it; the answer is the sidecar's own process id."""
        doors = confine.Doors(self._plan) if self._plan.tier == "bubblewrap" else None
        hears, says = (confine.above(descriptor, self._floor) for descriptor in os.pipe())
        keeper = os.getpid()
        self._first = os.fork()
        if self._first == 0:
            try:
                os.close(hears)
                confine.become(self._plan, keeper, self._streams, self._extra, crowd, doors)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the keeper wants to know
                os.write(says, confine.last_words(error))
            finally:
                os._exit(127)
        os.close(says)
        for descriptor in (*self._streams, *self._extra):
            os.close(descriptor)  # their ends are seen only where nobody else holds them open
        if doors is not None:
            doors.close()
        with open(hears, "rb") as file:  # noqa: PTH123 - a descriptor
            problem = file.read().decode(errors="replace")  # empty once the program has started
        if problem:
            raise _Failed(problem)
        return self._first if doors is None else self._enter(doors, crowd)

    def _enter(self, doors: confine.Doors, crowd: Crowd) -> int:
        """Wait until bubblewrap has turned into the sidecar, which is a child of the namespace's first process."""
        end = time.monotonic() + _START_SECONDS
        # Left open until the keeper ends: bubblewrap writes into it when the sidecar has ended.
        told = self._told = open(doors.told, "rb")  # noqa: PTH123, SIM115 - a descriptor, for the keeper's lifetime
        try:
            line = told.readline() if is_readable(told.fileno(), _START_SECONDS) else b""
            if not line:
                raise _Failed("bubblewrap made no namespaces; its reason is in the plugin's log")
            first = int(json.loads(line)["child-pid"])
            with contextlib.suppress(ProcessLookupError):
                crowd.limit_namespace(first)
            with contextlib.suppress(BrokenPipeError):
                os.write(doors.goes, b"x")
        finally:
            os.close(doors.goes)
        while time.monotonic() < end:
            for sidecar in _children(first):
                if _name(sidecar) not in {"bwrap", ""}:
                    return sidecar
            if _gone(self._first):
                if b"exit-code" in told.read():
                    return self._first  # it ran, and ended before anybody looked
                raise _Failed("the program could not be started; the reason is in the plugin's log")
            time.sleep(_POLL_SECONDS)
        raise _Failed(f"the program did not start within {_START_SECONDS:g} seconds")

    # --- the rest of its life ----------------------------------------------------------------------------------------

    def _watch(self, sidecar: int, ended: int, crowd: Crowd) -> int:
        """Until it has ended and nothing is left of it; the answer is the exit code."""
        poll = select.poll()
        for descriptor in (ended, self._host, self._channel.fileno()):
            poll.register(descriptor, select.POLLIN)
        wait = None if crowd.look_every is None else crowd.look_every * 1000
        while not self._over({descriptor for descriptor, _ in poll.poll(wait)}, ended, sidecar, crowd):
            pass
        # Where it has ended already, its id is still its own, and the signal does nothing.
        os.kill(self._first, signal.SIGKILL)
        code = _code(os.waitpid(self._first, 0)[1])
        end_descendants()
        return code

    def _over(self, ready: set[int], ended: int, sidecar: int, crowd: Crowd) -> bool:
        if ended in ready or self._host in ready:
            return True
        if self._channel.fileno() in ready:
            return self._told_to_kill(sidecar)
        return crowd.too_many()

    def _host_is_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._host, select.POLLIN)
        return bool(poll.poll(0))

    def _told_to_kill(self, sidecar: int) -> bool:
        try:
            message = self._channel.recv(MAX_MESSAGE)
        except ConnectionResetError:
            message = b""
        if message == STOP:
            _signal_group(sidecar, signal.SIGTERM)
        return message in {KILL, b""}


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, number)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _gone(child: int) -> bool:
    """Whether the child has ended; it stays to be reaped."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123 - no pathlib here
            return [int(word) for word in file.read().split()]
    except OSError as error:
        if error.errno == errno.ENOENT and os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 - likewise
            return descendants(pid)[:1]  # a kernel without that file
        return []


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:  # noqa: PTH123 - likewise
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
