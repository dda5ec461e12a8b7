"""The host's side of the nursery: started with the first sidecar, started again should it ever be gone."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stellatune_plugins.host.sidecar.keeper.plan import MAX_EXTRA, READY, Plan

_FOLDER: Final = str(Path(__file__).parent)
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from keeper.nursery import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])"
)
_START_SECONDS: Final = 10.0
_END_SECONDS: Final = 5.0


class Nursery:
    """Forks keepers, each with its sidecar.

    The process is nobody's child by thread: it notices the end of the host itself, so the thread that happens to start
    it may end, and the host may die in any way.

    Args:
        folder: what the sidecars share with the host; it comes and goes with the nursery.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Its process id; ``None`` before the first sidecar."""
        process = self._process
        return None if process is None else process.pid

    def folder(self) -> Path:
        """The shared folder, which is there from here on.

        Raises:
            OSError: no nursery to be had.
            RuntimeError: it is closed.
        """
        with self._lock:
            self._open()
        return self._folder

    def spawn(self, plan: Plan, streams: Sequence[int]) -> socket.socket:
        """Have a sidecar started; the answer is the channel to its keeper, which tells how that went.

        Args:
            plan: what was decided; its ``numbers`` are descriptors of this process.
            streams: what becomes its stdin, stdout and stderr. They stay the caller's.

        Raises:
            OSError: no process or descriptor to be had.
            RuntimeError: the nursery is closed.
        """
        if len(plan.numbers) > MAX_EXTRA:
            raise OSError(f"{len(plan.numbers)} descriptors are more than the {MAX_EXTRA} that a sidecar may inherit")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            with theirs:
                written = plan.write()
                try:
                    self._send([written, theirs.fileno(), *streams, *plan.numbers])
                finally:
                    os.close(written)
            undo.pop_all()
        return ours

    def _send(self, descriptors: Sequence[int]) -> None:
        with self._lock:
            for attempt in range(2):
                channel = self._open()
                try:
                    socket.send_fds(channel, [b"spawn"], descriptors)
                except (BrokenPipeError, ConnectionResetError):
                    self._end()
                    if attempt:
                        raise
                else:
                    return

    def _open(self) -> socket.socket:
        """The channel to a nursery, one that was just started where there is none."""
        if self._closed:
            raise RuntimeError("the sidecars' host is closed")
        if self._channel is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    self._process = subprocess.Popen(
                        [
                            *(sys.executable, "-I", "-S", "-c", _PROGRAM),
                            *(_FOLDER, str(theirs.fileno()), str(os.getpid()), str(self._folder)),
                        ],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        pass_fds=(theirs.fileno(),),
                        env={"LC_ALL": "C.UTF-8"},
                        cwd="/",
                        start_new_session=True,  # Ctrl-C is for the host, which then ends its sidecars
                    )
                except BaseException:
                    ours.close()
                    raise
            self._channel = ours
            ours.settimeout(_START_SECONDS)
            try:
                ready = ours.recv(len(READY)) == READY
            except OSError:
                ready = False
            if not ready:
                self._end()
                raise OSError("the process that starts sidecars did not start itself")
            ours.settimeout(None)
        return self._channel

    def close(self) -> None:
        """End it; keepers that are left kill what is below them. May be called again."""
        with self._lock:
            self._closed = True
            self._end()

    def _end(self) -> None:
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel is not None:
            channel.close()
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
