"""The nursery: forks a keeper for every sidecar that the host asks for."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import stat
import sys
from typing import Final

from .clearing import remove
from .keep import Keeper
from .kernel import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, prctl
from .plan import MAX_EXTRA, MAX_MESSAGE, PLAIN_DESCRIPTORS, READY, receive
from .reaper import end_descendants

_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def main(channel_descriptor: int, host_id: int, folder: str) -> None:
    """Serve until the host is gone or closes the channel. Keepers see to that for themselves.

    Args:
        channel_descriptor: where requests come from.
        host_id: the parent's process id.
        folder: what the sidecars of this host share with it: made here, so that it is never there without somebody to
            remove it.
    """
    for number in _IGNORED:  # they are for the host, which then ends its children
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        host = os.pidfd_open(host_id)
    except ProcessLookupError:
        return
    if os.getppid() != host_id:  # it died, and the id is somebody else's by now
        return
    channel = socket.socket(fileno=os.dup(channel_descriptor))
    os.close(channel_descriptor)
    _raise_file_limit()
    if not _make_folder(folder):
        return
    with contextlib.suppress(OSError):
        channel.send(READY)
        _Nursery(channel, host).serve()
    remove(folder)


def _make_folder(folder: str) -> bool:
    """Make the folder, or find it as an earlier nursery made it; False where somebody else was quicker.

    Everybody may make folders beside it and can read this process's arguments, where its name stands.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)  # noqa: PTH102 - no pathlib here
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _raise_file_limit() -> None:
    """Sidecars get descriptors under the host's numbers, with room above them for what a start needs itself."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Nursery:
    def __init__(self, channel: socket.socket, host: int) -> None:
        self._channel = channel
        self._host = host
        self._keepers: set[int] = set()
        self._wakes, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        poll = select.poll()
        for descriptor in (self._channel.fileno(), self._host, self._wakes):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wakes in ready:
                self._reap()
            if self._host in ready:
                break
            if self._channel.fileno() in ready and not self._request():
                break
        end_descendants(spare=self._keepers)
        with contextlib.suppress(ChildProcessError):  # keepers see the same end, and go once nothing is below them
            while True:
                os.waitpid(-1, 0)

    def _request(self) -> bool:
        """One request; False at the end of the channel."""
        try:
            message, descriptors = receive(self._channel, PLAIN_DESCRIPTORS + MAX_EXTRA)
        except ConnectionResetError:
            return False
        if not message:
            return False
        try:
            keeper = os.fork()
            if keeper == 0:
                self._keep(descriptors)
            self._keepers.add(keeper)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.write(descriptors[1], b'{"failed": "%s"}' % str(error).encode())
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _keep(self, descriptors: list[int]) -> None:
        """In the new keeper. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._channel.close()
            os.close(self._wakes)
            os.close(self._wake)
            os.setsid()
            Keeper(self._host, descriptors).run()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Bury keepers. One that did not end by itself has left us what was below it."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakes, MAX_MESSAGE):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self._keepers.discard(pid)
                if status != 0:
                    end_descendants(spare=self._keepers)
