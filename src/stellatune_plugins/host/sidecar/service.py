"""The sidecars of a host program, and those of one plugin as its guests see them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.hosted import Machinery
from stellatune_plugins.host.sidecar.locks import NamedLocks
from stellatune_plugins.host.sidecar.memory import FailureMemory
from stellatune_plugins.host.sidecar.nursery import Nursery
from stellatune_plugins.host.sidecar.plugin_sidecars import PluginSidecars
from stellatune_plugins.host.sidecar.roster import Roster
from stellatune_plugins.host.sidecar.sandbox import Sandboxes, detect
from stellatune_plugins.host.sidecar.settings import SidecarSettings
from stellatune_plugins.host.sidecar.supervised import History
from stellatune_plugins.host.sidecar.watcher import Watcher
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package.authority import Authority
from stellatune_plugins.package.manifest import SidecarRestart, SidecarSpec


class SidecarHost:
    """Runs the sidecars of all plugins of one host program. Make one, and close it last.

    Nothing is started, and no thread, before the first sidecar. ``sandboxes`` is found out then, too.

    Args:
        home: what is remembered of failures, and which sidecars run, is kept there.
        bus: hears of starts, ends, restarts and quarantines, and the lines that sidecars write to stderr.
        timeouts: how long guests wait.
        settings: limits and times.
        sandboxes: what works here; looked for by default.
    """

    def __init__(
        self,
        home: Home,
        bus: EventBus,
        *,
        timeouts: HostTimeouts | None = None,
        settings: SidecarSettings | None = None,
        sandboxes: Sandboxes | None = None,
    ) -> None:
        self._bus = bus
        self._timeouts = timeouts or HostTimeouts()
        self.settings = settings or SidecarSettings()
        self.memory = FailureMemory(home.sidecars)
        self._sandboxes = sandboxes
        self._roster = Roster(home.run)
        self._watcher = Watcher()
        self._nursery: Nursery | None = None
        self._lock = threading.Lock()
        self._locks: dict[str, NamedLocks] = {}
        self._histories: dict[tuple[str, str], History] = {}
        self._services: list[PluginSidecars] = []
        self._closed = False

    def serve(self, authority: Authority, sidecars: Iterable[SidecarSpec] = ()) -> PluginSidecars:
        """The sidecars of one active plugin; its ``start`` and ``close`` belong into those of its services.

        Args:
            authority: what the plugin may do.
            sidecars: those of its manifest.
        """
        service = PluginSidecars(self, authority, tuple(sidecars))
        with self._lock:
            self._services.append(service)
        return service

    @property
    def sandboxes(self) -> Sandboxes:
        """What works here."""
        return self._sandboxes or detect()

    def close(self) -> None:
        """Every sidecar is stopped, and nothing of any is left. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            services = list(self._services)
        for service in services:
            service.begin_close()
        for service in services:
            service.close()
        self._watcher.close()
        if self._nursery is not None:
            self._nursery.close()
        self._roster.close()

    # --- for the services --------------------------------------------------------------------------------------------

    def machinery(self) -> Machinery:
        """What starts need; made with the first of them.

        Raises:
            PluginFailure: ``io`` once the host is closed, or where its folder cannot be made.
        """
        with self._lock:
            if self._closed:
                raise PluginFailure("io", "the host is being closed")
            try:
                if self._nursery is None:
                    self._nursery = Nursery(self._roster.folder)
            except OSError as error:
                raise PluginFailure("io", f"no folder for sidecars can be made: {error}") from error
            nursery = self._nursery
        return Machinery(
            bus=self._bus,
            timeouts=self._timeouts,
            limits=self.settings.limits,
            sandboxes=self.sandboxes,
            nursery=nursery,
            watcher=self._watcher,
            roster=self._roster,
        )

    def locks_of(self, plugin: str) -> NamedLocks:
        """One set of locks a plugin, whichever of its activations asks."""
        with self._lock:
            return self._locks.setdefault(plugin, NamedLocks())

    def history_of(self, plugin: str, sidecar: str, policy: SidecarRestart) -> History:
        """What happened to a sidecar, in this host and before."""
        with self._lock:
            history = self._histories.get((plugin, sidecar))
            if history is None:
                history = History(plugin, sidecar, policy, self.memory, self._bus)
                self._histories[plugin, sidecar] = history
            return history

    def forget(self, service: PluginSidecars) -> None:
        """The plugin was deactivated."""
        with self._lock, contextlib.suppress(ValueError):
            self._services.remove(service)

    @property
    def timeouts(self) -> HostTimeouts:
        """How long guests wait."""
        return self._timeouts
