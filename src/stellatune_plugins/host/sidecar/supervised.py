"""A sidecar that the manifest wants to run for as long as the plugin does."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from stellatune_plugins.errors import PluginFailure, StateFailed
from stellatune_plugins.host.sidecar.hosted import Hosted
from stellatune_plugins.host.sidecar.memory import FailureMemory, Quarantined
from stellatune_plugins.host.sidecar.supervision import HEALTHY_SECONDS, Again, Decision, Quarantine, Supervision
from stellatune_plugins.host.sidecar.watcher import Watcher
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import SidecarQuarantined, SidecarRestarted
from stellatune_plugins.package.manifest import SidecarRestart

_log = logging.getLogger(__name__)


class History:
    """What happened to one sidecar of one plugin: judged, remembered, told.

    Args:
        plugin: whose it is.
        sidecar: its id.
        policy: the manifest's.
        memory: survives this host.
        bus: hears of a quarantine.
        clock: monotonic seconds.
        chance: 0 to 1.
    """

    def __init__(
        self,
        plugin: str,
        sidecar: str,
        policy: SidecarRestart,
        memory: FailureMemory,
        bus: EventBus,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._plugin = plugin
        self._sidecar = sidecar
        self._memory = memory
        self._bus = bus
        self._clock = clock
        self._lock = threading.Lock()
        self._in_quarantine = False
        now = clock()
        self._supervision = Supervision(policy, chance, [now - age for age in memory.ages(plugin, sidecar)])

    def started(self) -> float:
        """It runs; the time on the clock, for :meth:`ended`."""
        return self._clock()

    def ended(self, started: float | None, *, failed: bool, intended: bool = False) -> Decision:
        """It ended, or (``started`` is ``None``) did not start."""
        with self._lock:
            now = self._clock()
            if started is not None:
                self._supervision.started(started)
            decision = self._supervision.ended(now, failed=failed, intended=intended)
            self._in_quarantine = self._in_quarantine or isinstance(decision, Quarantine)
        self._remember(decision, failed=failed and not intended, healthy=_lasted(started, now))
        return decision

    def quarantined(self) -> Quarantined | None:
        """Its quarantine, if any. One that was lifted meanwhile, by another process maybe, leaves a clean slate."""
        found = self._memory.quarantined(self._plugin, self._sidecar)
        with self._lock:
            if found is None and self._in_quarantine:
                self._in_quarantine = False
                self._supervision.lifted()
        return found

    def _remember(self, decision: Decision, *, failed: bool, healthy: bool) -> None:
        try:
            if healthy:
                self._memory.healthy(self._plugin, self._sidecar)
            if failed:
                self._memory.failed(self._plugin, self._sidecar)
            if isinstance(decision, Quarantine):
                reason = f"{decision.failures} failures within {decision.seconds:g} seconds"
                self._memory.quarantine(self._plugin, self._sidecar, reason)
                self._bus.emit(
                    SidecarQuarantined(
                        plugin=self._plugin, sidecar=self._sidecar, failures=decision.failures, reason=reason
                    )
                )
        except StateFailed as error:
            # Within this host the state machine still holds.
            _log.warning("a failure of the sidecar %s of %s is not remembered: %s", self._sidecar, self._plugin, error)


def _lasted(started: float | None, now: float) -> bool:
    return started is not None and now - started >= HEALTHY_SECONDS


class Supervised:
    """Keeps one sidecar running.

    Args:
        launch: starts it anew, or raises :class:`PluginFailure`.
        history: judges its ends.
        watcher: waits until it is time.
        bus: hears of restarts.
        plugin: whose it is.
        sidecar: its id.
    """

    def __init__(
        self,
        launch: Callable[[], Hosted],
        history: History,
        watcher: Watcher,
        bus: EventBus,
        *,
        plugin: str,
        sidecar: str,
    ) -> None:
        self._launch = launch
        self._history = history
        self._watcher = watcher
        self._bus = bus
        self._plugin = plugin
        self._sidecar = sidecar
        self._lock = threading.Lock()
        self._closed = False
        self.hosted: Hosted | None = None
        """The present run."""

    def start(self) -> None:
        """The first start.

        Raises:
            PluginFailure: it did not start, and is not started again.
        """
        failure = self._try()
        if failure is not None and not isinstance(failure[1], Again):
            raise failure[0]

    def close(self) -> None:
        """No more restarts; the present run is for the caller to stop. May be called again."""
        with self._lock:
            self._closed = True

    def _try(self, attempt: int = 0, delay: float = 0.0) -> tuple[PluginFailure, Decision] | None:
        try:
            hosted = self._launch()
        except PluginFailure as failure:
            decision = self._history.ended(None, failed=True)
            self._follow(decision)
            return failure, decision
        started = self._history.started()
        hosted.let_go()  # nobody reads what it says, before a guest leases it
        with self._lock:
            self.hosted = hosted
            closed = self._closed
        if closed:
            hosted.stop(0)
        elif attempt:
            self._bus.emit(SidecarRestarted(plugin=self._plugin, sidecar=self._sidecar, attempt=attempt, delay=delay))
        hosted.on_end(lambda code: self._ended(started, hosted, code))
        return None

    def _ended(self, started: float, hosted: Hosted, code: int) -> None:
        self._follow(self._history.ended(started, failed=code != 0, intended=hosted.intended))

    def _follow(self, decision: Decision) -> None:
        if isinstance(decision, Again):
            again = decision
            self._watcher.call_later(again.delay, lambda: self._again(again))

    def _again(self, again: Again) -> None:
        with self._lock:
            if self._closed:
                return
        # A start takes its time, and the watcher's thread is needed for it.
        name = f"sidecar-restart-{self._sidecar}"
        threading.Thread(target=self._try, args=(again.attempt, again.delay), name=name, daemon=True).start()
