"""One capability instance: a slot that keeps its id while cells come and go in it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stellatune_plugins.errors import InstanceDead, PluginFailure, StellatuneError, StoreMisuse
from stellatune_plugins.executor.cell import HARMLESS, Cell
from stellatune_plugins.executor.environment import Environment
from stellatune_plugins.executor.messages import (
    ApplyConfig,
    Arguments,
    ExportState,
    ImportState,
    InstanceRequest,
    InstanceStatus,
    OpenSink,
    Recovered,
    Text,
    Value,
)
from stellatune_plugins.executor.recovery import ReplacementBudget
from stellatune_plugins.executor.states import CellState, InstanceState
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.turn import Turn
from stellatune_plugins.executor.worlds import CapabilityInstance, maker_for
from stellatune_plugins.model import AbilityKey, DisableReason
from stellatune_plugins.observe.events import CellReplaced

_log = logging.getLogger(__name__)


class Instance:
    """Made empty; :meth:`open` fills it. One caller at a time, and loud about a second one.

    Args:
        number: its id.
        ability: what it is an instance of.
        arguments: what it is made from, now and after a recovery.
        make_cell: gives an enabled cell that nobody uses.
        streams: where streams of its arguments and answers are.
        env: deadlines, budget, events.
    """

    def __init__(
        self,
        number: int,
        ability: AbilityKey,
        arguments: Arguments,
        make_cell: Callable[[], Cell],
        streams: StreamTable,
        env: Environment,
    ) -> None:
        self.number = number
        self.ability = ability
        self._arguments = arguments
        self._make_cell = make_cell
        self._streams = streams
        self._make = maker_for(ability.kind)
        self._env = env
        self._turn = Turn(f"instance {number} of {ability.plugin_id}")
        self._budget = ReplacementBudget(env.replacements, env.clock)
        self._cell: Cell | None = None
        self._served: CapabilityInstance | None = None
        self._closed = False
        self._config_json: str | None = None
        self._state_json: str | None = None
        self._target: OpenSink | None = None

    @property
    def state(self) -> InstanceState:
        """Whether it can be called."""
        if self._budget.overdrawn:
            return InstanceState.BARRED
        alive = self._cell is not None and self._cell.state is CellState.READY and not self._closed
        return InstanceState.LIVE if alive else InstanceState.DEAD

    def status(self) -> InstanceStatus:
        """The state as data."""
        return InstanceStatus(self.number, self.ability, self.state, self._budget.spent)

    def open(self) -> None:
        """Make the cell and the capability in it.

        Raises:
            InstanceDead: it was closed before it was opened.
            StellatuneError: the guest failed; nothing is left of the cell.
        """
        with self._turn.taken("create-instance"):
            self._fill()

    def call(self, request: InstanceRequest) -> Value:
        """Answer one request; keeps what a recovery needs."""
        operation = str(request.__struct_config__.tag)
        with self._turn.taken(operation):
            served = self._living(operation)
            value = served.call(request)
            if isinstance(request, ApplyConfig):
                self._config_json = request.config_json
            elif isinstance(request, ExportState) and isinstance(value, Text):
                self._state_json = value.text
            elif isinstance(request, ImportState):
                self._state_json = request.state_json
            elif isinstance(request, OpenSink):
                self._target = request
            return value

    def recover(self) -> Recovered:
        """Replace a dead cell, and bring configuration and state back.

        Raises:
            InstanceDead: closed, or replaced too often.
            StellatuneError: the fresh cell failed too.
        """
        with self._turn.taken("recover"):
            self._require_open("recover")
            if self.state is InstanceState.LIVE:
                return Recovered(self.number, replaced=False)
            if not self._budget.spend():
                raise self._barred("recover")
            started = self._env.clock()
            broken_by = self._cell.broken_by if self._cell else None
            self._fill()
            state_restored = self._restore_state()
            config_restored = self._restore_config()
            reopened = self._reopen()
            self._env.bus.emit(
                CellReplaced(
                    plugin=self.ability.plugin_id,
                    component=self.ability.component_id,
                    reason=broken_by.code if broken_by else "unknown",
                    seconds=self._env.clock() - started,
                )
            )
            return Recovered(
                self.number,
                replaced=True,
                config_restored=config_restored,
                state_restored=state_restored,
                reopened=reopened,
            )

    def lift(self) -> None:
        """Allow a new budget of replacements."""
        self._budget.lift()

    def interrupt(self) -> bool:
        """On the way to the end: have a call that is in progress come back early; gives whether there is one.

        It does where it waits for a stream or a channel, which are closed under it.
        """
        cell = self._cell
        if not self._turn.busy:
            return False
        if cell is not None:
            cell.interrupt()
        return True

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no call is in progress; false where it takes too long."""
        with self._turn.awaited(seconds) as held:
            return held

    def close(self, reason: DisableReason) -> tuple[StellatuneError, ...]:
        """End it and its cell; gives what went wrong. May be called again, and from another thread than the caller's.

        A call that is in progress comes back early where it waits for a stream or a channel: those are closed first.
        """
        self._closed = True
        self.interrupt()
        with self._turn.awaited(self._env.deadlines.wait) as held:
            if not held:
                return self._abandon(reason)
            return self._empty(reason)

    # ---------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        self._require_open("create-instance")
        self._empty(DisableReason.RELOAD)
        # Known before it is filled: a teardown interrupts the guest that waits for a stream while it opens a track.
        cell = self._cell = self._make_cell()
        try:
            self._served = self._make(cell, self._arguments, self._streams)
        except BaseException:
            cell.close(DisableReason.UNLOAD)
            raise
        if self._closed:  # by a teardown that could not wait any longer
            self._empty(DisableReason.UNLOAD)
            self._require_open("create-instance")

    def _empty(self, reason: DisableReason) -> tuple[StellatuneError, ...]:
        failures: tuple[StellatuneError, ...] = ()
        if self._served is not None and self._cell is not None and self._cell.state is CellState.READY:
            failures += self._served.close()
        if self._cell is not None:
            failures += self._cell.close(reason)
        self._served = None
        return failures

    def _abandon(self, reason: DisableReason) -> tuple[StellatuneError, ...]:
        if self._cell is None:
            return (StoreMisuse("the instance is still being made", plugin=self.ability.plugin_id, operation="close"),)
        return self._cell.close(reason)

    def _restore_state(self) -> bool:
        if self._state_json is None:
            return False
        state, self._state_json = self._state_json, None
        try:
            self._living("recover").call(ImportState(state))
        except HARMLESS as error:
            _log.info("instance %d of %s did not take its state back: %s", self.number, self.ability.plugin_id, error)
            return False
        self._state_json = state  # only a state that did not break the fresh cell is kept
        return True

    def _restore_config(self) -> bool:
        if self._config_json is None:
            return False
        try:
            self._living("recover").call(ApplyConfig(self._config_json))
        except PluginFailure as error:
            _log.info("instance %d of %s did not take its config back: %s", self.number, self.ability.plugin_id, error)
            return False
        return True

    def _reopen(self) -> bool:
        if self._target is None:
            return False
        try:
            self._living("recover").call(self._target)
        except PluginFailure as error:
            _log.info("instance %d of %s did not open again: %s", self.number, self.ability.plugin_id, error)
            return False
        return True

    def _living(self, operation: str) -> CapabilityInstance:
        self._require_open(operation)
        if self._budget.overdrawn:
            raise self._barred(operation)
        if self._served is None:
            raise InstanceDead("the instance ended", plugin=self.ability.plugin_id, operation=operation)
        return self._served

    def _require_open(self, operation: str) -> None:
        if self._closed:
            raise InstanceDead(
                "the instance was closed",
                plugin=self.ability.plugin_id,
                component=self.ability.component_id,
                operation=operation,
            )

    def _barred(self, operation: str) -> InstanceDead:
        policy = self._env.replacements
        return InstanceDead(
            f"the instance was replaced {policy.limit} times within {policy.window:g} s and is barred",
            plugin=self.ability.plugin_id,
            component=self.ability.component_id,
            operation=operation,
            hint="the plugin keeps crashing: take it out of the chain, or lift the bar to try again",
            barred=True,
        )
