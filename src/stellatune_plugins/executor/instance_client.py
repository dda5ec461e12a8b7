"""What the clients of all worlds share: one instance of an ability, reached by messages."""

from __future__ import annotations

import logging
import warnings
from types import TracebackType
from typing import Any, Self, TypeVar

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.executor.client import Executor, ask
from stellatune_plugins.executor.messages import (
    Answer,
    ApplyConfig,
    Arguments,
    Call,
    CloseInstance,
    CreateInstance,
    ExportState,
    ImportState,
    InstanceClosed,
    InstanceCreated,
    InstanceRequest,
    Lift,
    Lifted,
    Nothing,
    Plan,
    PlanConfig,
    Recover,
    Recovered,
    Text,
)
from stellatune_plugins.model import AbilityKey, ConfigUpdatePlan

_log = logging.getLogger(__name__)

V = TypeVar("V")


class WasmInstance:
    """One instance; serves :class:`~stellatune_plugins.contract.Configurable`. For one thread at a time.

    After a trap, a deadline or a breach the call that met it raises that error, and every further one
    :class:`~stellatune_plugins.errors.InstanceDead`, until :meth:`recover`.

    Args:
        executor: where the plugin is active.
        ability: which ability of which plugin.
        arguments: what it is made from.
    """

    _closed = True  # nothing to close before it is made

    def __init__(self, executor: Executor, ability: AbilityKey, arguments: Arguments) -> None:
        self.ability = ability
        self._executor = executor
        self.instance = ask(executor, CreateInstance(ability, arguments), InstanceCreated).instance
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return self._call(PlanConfig(config_json), Plan).plan

    def apply_config(self, config_json: str) -> None:
        self._call(ApplyConfig(config_json), Nothing)

    def export_state(self) -> str | None:
        return self._call(ExportState(), Text).text

    def import_state(self, state_json: str) -> None:
        self._call(ImportState(state_json), Nothing)

    def recover(self) -> Recovered:
        """A fresh cell under the same instance, with the last configuration that was taken and the last state.

        Raises:
            InstanceDead: it was replaced too often (``details['barred']``), or closed.
            StellatuneError: the fresh cell failed too.
        """
        return ask(self._executor, Recover(self.instance), Recovered)

    def lift(self) -> None:
        """Allow a barred instance a new budget of replacements."""
        ask(self._executor, Lift(self.instance), Lifted)

    def close(self) -> None:
        """End the instance. What the plugin gets wrong on the way is logged: it is gone all the same."""
        if self._closed:
            return
        self._closed = True
        try:
            closed = ask(self._executor, CloseInstance(self.instance), InstanceClosed)
        except StellatuneError as error:
            _log.warning("closing instance %d of %s failed: %s", self.instance, self.ability.plugin_id, error)
            return
        for failure in closed.failures:
            _log.warning("ending an instance of %s: %s: %s", self.ability.plugin_id, failure.code, failure.message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"instance {self.instance} was never closed", ResourceWarning, stacklevel=1, source=self)

    def _call(self, request: InstanceRequest, expected: type[V]) -> V:
        value: Any = ask(self._executor, Call(self.instance, request), Answer).value
        if not isinstance(value, expected):
            raise StellatuneError(
                f"the executor answered {type(value).__name__} where {expected.__name__} was due",
                plugin=self.ability.plugin_id,
            )
        return value
