"""The sidecars of one active plugin: what its guests launch, and what its manifest wants started."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from stellatune_plugins.errors import PluginFailure, SidecarFailed, StateFailed
from stellatune_plugins.host.budget import within
from stellatune_plugins.host.sidecar.hosted import Hosted, Order
from stellatune_plugins.host.sidecar.interface import LaunchSpec, SidecarLockGuard, SidecarProcess
from stellatune_plugins.host.sidecar.lookup import command, find_executable, is_local, sidecar_id
from stellatune_plugins.host.sidecar.process import GuestProcess
from stellatune_plugins.host.sidecar.request import check_request
from stellatune_plugins.host.sidecar.run import REAP_SECONDS, TERM_SECONDS
from stellatune_plugins.host.sidecar.sandbox import SandboxTier
from stellatune_plugins.host.sidecar.supervised import History, Supervised
from stellatune_plugins.host.sidecar.transports import wishes
from stellatune_plugins.package.authority import Authority, SidecarGrant
from stellatune_plugins.package.manifest import SidecarRestart, SidecarScope, SidecarSpec, SidecarStart
from stellatune_plugins.package.paths import shown

if TYPE_CHECKING:
    from stellatune_plugins.host.sidecar.service import SidecarHost

_log = logging.getLogger(__name__)
_MOST_ENDED: Final = 64
"""Sidecars that ended and that a plugin still holds."""
_SHARED: Final = SidecarScope.PACKAGE_SHARED.value


class PluginSidecars:
    """Serves :class:`~stellatune_plugins.host.sidecar.SidecarService`. Made by :meth:`SidecarHost.serve`."""

    def __init__(self, host: SidecarHost, authority: Authority, declared: tuple[SidecarSpec, ...]) -> None:
        self._host = host
        self._authority = authority
        self._declared = declared
        self._locks = host.locks_of(authority.plugin)
        self._lock = threading.Lock()
        self._sharing = threading.Lock()
        self._running: list[Hosted] = []
        self._starting = 0
        self._started: list[Hosted] = []
        """Those that ended too, as long as a guest may still read what they said."""
        self._leases: dict[int, int] = {}
        """Holds on each shared sidecar, by the object's id."""
        self._supervised: list[Supervised] = []
        self._closed = False

    # --- the plugin's life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start what the manifest wants started when the plugin is enabled.

        One that the user did not grant, or that is in quarantine, is left out: the plugin may do without, and is told
        when it launches it itself.

        Raises:
            SidecarFailed: one did not start, and is not to be started again.
        """
        self._locks.open()
        for spec in self._declared:
            if spec.start is SidecarStart.ON_ENABLE:
                self._start_declared(spec)

    def begin_close(self) -> None:
        """Begin to stop everything. Never waits."""
        with self._lock:
            self._closed = True
            running = list(self._running)
            supervised = list(self._supervised)
        self._locks.close()
        for keeper in supervised:
            keeper.close()
        for hosted in running:
            hosted.stop(self._host.settings.grace)

    def close(self) -> None:
        """Stop everything, and wait until nothing is left: the grace time and a second at most. May be called again."""
        self.begin_close()
        end = time.monotonic() + self._host.settings.grace + TERM_SECONDS + REAP_SECONDS
        with self._lock:
            running = list(self._running)
        for hosted in running:
            if hosted.run.wait(max(0.0, end - time.monotonic())) is None:
                hosted.run.kill()
                hosted.run.wait(0.1)
        with self._lock:
            started, self._started = self._started, []
        for hosted in started:
            hosted.shut()
        self._host.forget(self)

    # --- for guests --------------------------------------------------------------------------------------------------

    def launch(self, spec: LaunchSpec) -> SidecarProcess:
        check_request(spec)
        order = self._order(spec)
        history = self._host.history_of(self._authority.plugin, order.sidecar, self._policy(order.sidecar))
        if spec.scope == _SHARED:
            return self._lease(order, history)
        hosted = self._judged_start(order, history)
        return GuestProcess(hosted, self._host.timeouts, lambda _: self._end_instance(hosted))

    def lock(self, name: str, timeout_ms: int | None) -> SidecarLockGuard:
        wanted = self._host.timeouts.lock
        if timeout_ms is not None:
            wanted = min(wanted, timeout_ms / 1000)
        return self._locks.lock(name, within(wanted))

    # --- deciding ----------------------------------------------------------------------------------------------------

    def _order(self, spec: LaunchSpec) -> Order:
        """Everything that is decided before a start: who, which file, what keeps it in."""
        if not sys.platform.startswith("linux"):
            raise PluginFailure("unsupported", "sidecars run on Linux alone")
        authority = self._authority
        name = sidecar_id(spec.executable, self._declared)
        grant = authority.sidecar(name)
        if grant is None:
            raise authority.denied("run the sidecar", name, f"sidecar:{name}" if _grantable(name) else None)
        program = find_executable(authority.root, spec.executable)
        self._check_quarantine(name)
        return Order(
            plugin=authority.plugin,
            version=authority.version,
            sidecar=name,
            root=authority.root.resolve(),
            data=authority.data.resolve(),
            argv=command(program, spec.args),
            spec=spec,
            tier=self._tier(grant),
            network=grant.network,
            audio=grant.audio,
            may_connect=lambda port: authority.may_reach_local("tcp", "127.0.0.1", port),
        )

    def _tier(self, grant: SidecarGrant) -> SandboxTier:
        sandboxes = self._host.sandboxes
        tier = sandboxes.choose(unsandboxed=grant.unsandboxed, only=self._host.settings.tier)
        if tier is None:
            _log.warning("no sandbox for the sidecar %s: %s", grant.id, sandboxes.problem)
            raise self._authority.denied(
                "run, on a machine without a sandbox for it, the sidecar", grant.id, f"unsandboxed:{grant.id}"
            )
        return tier

    def _check_quarantine(self, name: str) -> None:
        plugin = self._authority.plugin
        try:
            found = self._host.history_of(plugin, name, self._policy(name)).quarantined()
        except StateFailed as error:
            # Who cannot know whether it is in quarantine does not start it.
            raise PluginFailure("io", f"the sidecars' history cannot be read: {error.message}") from error
        if found is not None:
            raise PluginFailure(
                "denied",
                f"the sidecar {shown(name)} is in quarantine: {found.reason}",
                plugin=plugin,
                hint=f"find out why it fails, then `stellatune sidecar lift {plugin} {name}`",
            )

    def _policy(self, name: str) -> SidecarRestart:
        return next((spec.restart for spec in self._declared if spec.id == name), SidecarRestart.NEVER)

    # --- starting ----------------------------------------------------------------------------------------------------

    def _start_declared(self, spec: SidecarSpec) -> None:
        launch = LaunchSpec(
            scope=spec.scope.value,
            executable=spec.executable,
            args=spec.args,
            preferred_control=wishes(spec.transports),
            preferred_data=wishes(spec.transports),
            env=(),
        )
        plugin = self._authority.plugin
        try:
            order = self._order(launch)
        except PluginFailure as failure:
            if failure.case != "denied":
                raise SidecarFailed(f"the sidecar {shown(spec.id)} cannot run: {failure.message}", plugin=plugin) from (
                    failure
                )
            _log.warning("%s: %s", plugin, failure.message)
            return
        supervised = Supervised(
            lambda: self._start_order(order),
            self._host.history_of(plugin, spec.id, spec.restart),
            self._host.machinery().watcher,
            self._host.machinery().bus,
            plugin=plugin,
            sidecar=spec.id,
        )
        with self._lock:
            self._supervised.append(supervised)
        try:
            supervised.start()
        except PluginFailure as failure:
            raise SidecarFailed(f"the sidecar {shown(spec.id)} does not run: {failure.message}", plugin=plugin) from (
                failure
            )

    def _judged_start(self, order: Order, history: History) -> Hosted:
        try:
            hosted = self._start_order(order)
        except PluginFailure as failure:
            if failure.case == "io" and not self._closed:
                history.ended(None, failed=True)
            raise
        started = history.started()
        hosted.on_end(lambda code: _judge(history, started, code, hosted))
        return hosted

    def _start_order(self, order: Order) -> Hosted:
        """Start it as one of ours, which end with the plugin."""
        with self._place():
            hosted = Hosted.start(order, self._host.machinery(), within(self._host.timeouts.launch))
            with self._lock:
                self._running.append(hosted)
                self._started.append(hosted)
                closed = self._closed
        hosted.on_end(lambda _: self._gone(hosted))
        if closed:
            hosted.let_go()
            hosted.stop(0)
            raise PluginFailure("io", "the plugin is being deactivated")
        return hosted

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of the sidecars that a plugin may have at the same time."""
        most = self._host.settings.most
        with self._lock:
            if self._closed:
                raise PluginFailure("io", "the plugin is being deactivated")
            self._started = [hosted for hosted in self._started if hosted in self._running or hosted.held]
            if len(self._running) + self._starting >= most:
                raise PluginFailure("denied", f"the plugin already runs {most} sidecars")
            if len(self._started) >= most + _MOST_ENDED:
                raise PluginFailure("denied", "the plugin lets go of none of its sidecars that ended")
            self._starting += 1
        try:
            yield
        finally:
            with self._lock:
                self._starting -= 1

    def _gone(self, hosted: Hosted) -> None:
        with self._lock:
            self._running.remove(hosted)
            self._leases.pop(id(hosted), None)

    def _end_instance(self, hosted: Hosted) -> bool:
        hosted.end()
        if hosted.run.code is None:
            hosted.stop(self._host.settings.grace)
        return True

    # --- sharing -----------------------------------------------------------------------------------------------------

    def _lease(self, order: Order, history: History) -> GuestProcess:
        """A hold on the one that runs already, if it does and was started the same; else on a new one."""
        if not self._sharing.acquire(timeout=within(self._host.timeouts.launch)):
            raise PluginFailure("timeout", "another guest is starting the sidecar")
        try:
            hosted = self._shared(order)
            if hosted is None:
                hosted = self._judged_start(order, history)
            else:
                hosted.hold()
            with self._lock:
                self._leases[id(hosted)] = self._leases.get(id(hosted), 0) + 1
        finally:
            self._sharing.release()
        return GuestProcess(hosted, self._host.timeouts, lambda ends: self._end_lease(hosted, ends=ends))

    def _shared(self, order: Order) -> Hosted | None:
        with self._lock:
            same = [hosted for hosted in self._running if _same(hosted.order, order)]
        return next((hosted for hosted in same if not hosted.ending and hosted.run.alive()), None)

    def _end_lease(self, hosted: Hosted, *, ends: bool) -> bool:
        """One hold less. The process ends when its last holder asks for it, else with the plugin."""
        with self._lock:
            left = self._leases.get(id(hosted), 1) - 1
            self._leases[id(hosted)] = left
            kept = any(supervised.hosted is hosted for supervised in self._supervised)
        return ends and left <= 0 and not kept


def _judge(history: History, started: float, code: int, hosted: Hosted) -> None:
    history.ended(started, failed=code != 0, intended=hosted.intended)


def _same(running: Order, wanted: Order) -> bool:
    """Whether a shared sidecar that runs is the one that is wanted: the same program, with all transports asked for."""
    mine, theirs = running.spec, wanted.spec
    if mine.scope != _SHARED or (running.argv, mine.env) != (wanted.argv, theirs.env):
        return False
    return all(
        {wish.kind for wish in asked} <= {wish.kind for wish in there}
        for asked, there in (
            (theirs.preferred_control, mine.preferred_control),
            (theirs.preferred_data, mine.preferred_data),
        )
    )


def _grantable(name: str) -> bool:
    """Whether a grant could ever allow it: what climbs out of the package cannot be granted."""
    return is_local(name) or (name.startswith("/") and ".." not in name)
