"""The WIT resource ``process``: one guest's hold on a sidecar."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within
from stellatune_plugins.host.sidecar.hosted import Hosted
from stellatune_plugins.host.sidecar.interface import SidecarChannel, SidecarProcess, TransportWish
from stellatune_plugins.host.sidecar.run import REAP_SECONDS, TERM_SECONDS
from stellatune_plugins.host.timeouts import HostTimeouts

_AFTER_GRACE = TERM_SECONDS + REAP_SECONDS


class GuestProcess(SidecarProcess):
    """A hold on a sidecar that its caller took, and that :meth:`close` lets go of.

    Args:
        hosted: the sidecar.
        timeouts: how long the guest waits.
        release: called once, when the guest lets go; True where it asked for the end of the process.
    """

    def __init__(self, hosted: Hosted, timeouts: HostTimeouts, release: Callable[[bool], bool]) -> None:
        self._hosted = hosted
        self._timeouts = timeouts
        self._release = release
        self._lock = threading.Lock()
        self._released = False
        self._closed = False

    @property
    def hosted(self) -> Hosted:
        """The sidecar behind it."""
        return self._hosted

    def open_control(self) -> SidecarChannel:
        self._usable()
        return self._hosted.transports.open_control()

    def open_data(self, role: str, preferred: tuple[TransportWish, ...]) -> SidecarChannel:
        self._usable()
        return self._hosted.transports.open_data(role, preferred)

    def wait_exit(self, timeout_ms: int | None) -> int | None:
        """The exit code, 128 and the number for a signal; ``None`` where it still runs after the time."""
        wanted = self._timeouts.wait_exit
        if timeout_ms is not None:
            wanted = min(wanted, timeout_ms / 1000)
        return self._hosted.run.wait(within(wanted))

    def terminate(self, grace_ms: int) -> None:
        """Stop it, and wait until nothing of it is left: at most the grace time and a second.

        What is left of the guest's call may be less; the process is stopped all the same, by and by. A shared process
        that others hold as well goes on for them.
        """
        grace = min(grace_ms / 1000, self._timeouts.terminate)
        if not self._let_go(ends=True):
            return
        self._hosted.stop(grace)
        if self._hosted.run.wait(within(grace + _AFTER_GRACE)) is None:
            raise PluginFailure("timeout", "the sidecar has not ended yet; it will be killed")

    def close(self) -> None:
        self._let_go(ends=False)
        with self._lock:
            again, self._closed = self._closed, True
        if not again:
            self._hosted.let_go()

    def _let_go(self, *, ends: bool) -> bool:
        """Whether the process is to end. A second call changes nothing."""
        with self._lock:
            first, self._released = not self._released, True
        return self._release(ends) if first else ends and self._hosted.ending

    def _usable(self) -> None:
        if self._closed:
            raise PluginFailure("io", "the process was let go of")
