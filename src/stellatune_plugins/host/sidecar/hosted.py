"""A sidecar that runs, with its channels and its folder: started with everything checked, ended with nothing left."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import LaunchSpec
from stellatune_plugins.host.sidecar.keeper.clearing import remove
from stellatune_plugins.host.sidecar.keeper.plan import Limits
from stellatune_plugins.host.sidecar.nursery import Nursery
from stellatune_plugins.host.sidecar.request import channel_plan
from stellatune_plugins.host.sidecar.roster import Listed, Roster
from stellatune_plugins.host.sidecar.run import KILLED, Run, StartFailed
from stellatune_plugins.host.sidecar.sandbox import (
    Confinement,
    Sandboxes,
    SandboxTier,
    has_unix_sockets,
    make_plan,
)
from stellatune_plugins.host.sidecar.sandbox.audio import find_audio
from stellatune_plugins.host.sidecar.transports import GivenRules, Transports
from stellatune_plugins.host.sidecar.watcher import Watcher
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import (
    GuestOutput,
    GuestOutputDropped,
    SidecarExited,
    SidecarFailedToStart,
    SidecarStarted,
)

_numbers: Final = itertools.count(1)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A start that is allowed: everything is decided."""

    plugin: str
    version: str
    sidecar: str
    root: Path
    data: Path
    argv: tuple[str, ...]
    spec: LaunchSpec
    tier: SandboxTier
    network: bool
    audio: bool
    may_connect: Callable[[int], bool]
    """Whether the host may connect to a port of this machine that the plugin names for its sidecar."""


class Machinery(msgspec.Struct, frozen=True, kw_only=True):
    """What every start of one host uses."""

    bus: EventBus
    timeouts: HostTimeouts
    limits: Limits
    sandboxes: Sandboxes
    nursery: Nursery
    watcher: Watcher
    roster: Roster


class Hosted:
    """One run with its channels. Make it by :meth:`start`, which is the first to hold it."""

    def __init__(self, order: Order, run: Run, transports: Transports, machinery: Machinery, private: Path) -> None:
        self.order = order
        self.run = run
        self.transports = transports
        self._machinery = machinery
        self._private = private
        self._lock = threading.Lock()
        self._holders = 1
        self._over = False
        self.ending = False
        """Whether the host asked it to end; nobody leases it any more."""
        self._ran_then = False

    @classmethod
    def start(cls, order: Order, machinery: Machinery, timeout: float) -> Hosted:
        """Start it, and tell everybody.

        Raises:
            PluginFailure: a channel cannot be made, or the program does not start (``io``); nothing is left then.
        """
        try:
            private = machinery.nursery.folder() / str(next(_numbers))
            private.mkdir(mode=0o700)
            (private / "tmp").mkdir(mode=0o700)
        except (OSError, RuntimeError) as error:
            raise PluginFailure("io", f"no sidecar can be started: {error}") from error
        with contextlib.ExitStack() as undo:
            undo.callback(remove, private)
            transports = Transports(
                channel_plan(
                    order.spec,
                    unix_sockets=has_unix_sockets(
                        order.tier, machinery.sandboxes, network=order.network, audio=order.audio
                    ),
                ),
                folder=private,
                timeouts=machinery.timeouts,
                # Without a sandbox it has the host's network whatever was granted.
                network=order.network or order.tier is SandboxTier.NONE,
                given=GivenRules(folder=order.data, may_connect=order.may_connect),
            )
            undo.callback(transports.close)
            run = cls._run(order, machinery, transports, private, timeout)
            run.close_stdin = transports.close_stdin
            transports.started(run)
            hosted = cls(order, run, transports, machinery, private)
            undo.pop_all()
        hosted._announce()
        return hosted

    @staticmethod
    def _run(order: Order, machinery: Machinery, transports: Transports, private: Path, timeout: float) -> Run:
        confinement = Confinement(
            argv=order.argv,
            environment=dict(order.spec.env) | transports.environment,
            root=order.root,
            data=order.data,
            private=private,
            network=order.network,
            audio=find_audio() if order.audio else None,
            inherited=transports.inherited,
            limits=machinery.limits,
        )

        def on_line(text: str) -> None:
            machinery.bus.emit(GuestOutput(plugin=order.plugin, stream=f"{order.sidecar} stderr", text=text))

        def on_dropped(lines: int) -> None:
            machinery.bus.emit(GuestOutputDropped(plugin=order.plugin, lines=lines))

        try:
            return Run.start(
                machinery.nursery,
                machinery.watcher,
                make_plan(confinement, order.tier, machinery.sandboxes),
                stdin=transports.stdin,
                stdout=transports.stdout,
                on_line=on_line,
                on_dropped=on_dropped,
                timeout=timeout,
            )
        except StartFailed as error:
            machinery.bus.emit(
                SidecarFailedToStart(
                    plugin=order.plugin, sidecar=order.sidecar, tier=order.tier.value, message=str(error)
                )
            )
            raise PluginFailure("io", f"the sidecar {order.sidecar} did not start: {error}") from error

    def _announce(self) -> None:
        order = self.order
        self._machinery.roster.add(
            Listed(
                plugin=order.plugin,
                version=order.version,
                sidecar=order.sidecar,
                pid=self.run.pid,
                tier=order.tier.value,
                scope=order.spec.scope,
                started=time.time(),
            )
        )
        self._machinery.bus.emit(
            SidecarStarted(
                plugin=order.plugin,
                sidecar=order.sidecar,
                tier=order.tier.value,
                pid=self.run.pid,
                seconds=self.run.seconds,
            )
        )
        self.run.on_end(self._ended)

    def hold(self) -> None:
        """A guest may want to read what it said, after its end too."""
        with self._lock:
            self._holders += 1

    def let_go(self) -> None:
        """A guest does not any more."""
        with self._lock:
            self._holders -= 1
        self._close_if_over()

    @property
    def held(self) -> bool:
        """Whether a guest still has it."""
        with self._lock:
            return self._holders > 0

    def shut(self) -> None:
        """Nobody reads any more; whoever waits is told so. May be called again."""
        self.transports.close()

    def _close_if_over(self) -> None:
        with self._lock:
            done = self._over and self._holders <= 0
        if done:
            self.shut()

    def on_end(self, function: Callable[[int], None]) -> None:
        """Call with the exit code once it ended."""
        self.run.on_end(function)

    def end(self) -> None:
        """From here on its end is what the host wants."""
        if not self.ending:
            self._ran_then = self.run.alive()
            self.ending = True

    def stop(self, grace: float) -> None:
        """Begin to stop it; the host wants it so."""
        self.end()
        self.run.stop(grace)

    @property
    def intended(self) -> bool:
        """Whether it ended as the host asked, and not before that, however soon a guest tidied up after it.

        One that is just being killed looks alive for a moment; but the host had not killed it by then.
        """
        return self._ran_then and not (self.run.code == KILLED and not self.run.signalled)

    def _ended(self, code: int) -> None:
        self.transports.ended()
        remove(self._private)
        with self._lock:
            self._over = True
        self._close_if_over()
        self._machinery.roster.remove(self.run.pid)
        self._machinery.bus.emit(
            SidecarExited(
                plugin=self.order.plugin,
                sidecar=self.order.sidecar,
                code=code,
                intended=self.intended,
                seconds=time.monotonic() - self.run.started_at,
            )
        )
