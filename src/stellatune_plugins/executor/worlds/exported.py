"""What the instances of all worlds share: one resource that the guest exports, its four methods, and its end."""

from __future__ import annotations

import abc
from typing import Any, Final

from stellatune_plugins.engine.resources import GuestResource
from stellatune_plugins.errors import ConfigRejected, PluginFailure, StellatuneError, ValueInvalid
from stellatune_plugins.executor.cell import BoundedCall, Cell
from stellatune_plugins.executor.guest_text import clean
from stellatune_plugins.executor.messages import (
    ApplyConfig,
    ExportState,
    ImportState,
    InstanceRequest,
    Nothing,
    Plan,
    PlanConfig,
    Text,
    Value,
)
from stellatune_plugins.executor.results import optional, unwrap
from stellatune_plugins.executor.worlds.checks import json_text
from stellatune_plugins.model import ConfigUpdateMode, ConfigUpdatePlan

MAX_STATE_BYTES: Final = 512 * 1024


class ExportedInstance(abc.ABC):
    """One resource of a guest in its cell.

    A subclass makes the resource, in :meth:`_make`, and answers the requests of its world, in :meth:`_answer`.

    Args:
        cell: its home, enabled; nobody else uses it.
        interface: the exported interface's full name.
        resource: the resource's name in it.
        world: what operations are called by, such as ``dsp``.

    Raises:
        PluginFailure: the plugin refuses to make one.
        StellatuneError: the cell broke.
    """

    def __init__(self, cell: Cell, interface: str, resource: str, world: str) -> None:
        self.cell = cell
        self.deadlines = cell.deadlines
        self._interface = interface
        self._name = resource
        self._world = world
        self._closed = False

    def _create(self, operation: str, function: str, *args: Any, deadline: float) -> None:
        """Make the resource with an exported function, and bind what every resource has."""
        with self.cell.entered(operation):
            made = unwrap(self.cell.function(self._interface, function)(*args, deadline=deadline))
            self.resource: GuestResource = made
            self._plan = self.method("plan-config-update-json")
            self._apply = self.method("apply-config-update-json")
            self._export = self.method("export-state-json")
            self._import = self.method("import-state-json")
            self._close = self.method("close")
            self._bind()

    def method(self, name: str) -> BoundedCall:
        """A method of the resource; within ``entered`` only."""
        return self.cell.function(self._interface, f"[method]{self._name}.{name}")

    def call(self, request: InstanceRequest) -> Value:
        """Answer one request.

        Raises:
            GuestContract: what the guest returned cannot be; its cell is broken.
            PluginFailure: the plugin's own answer.
            ConfigRejected: the plugin refuses the configuration as an invalid argument.
            ValueInvalid: the request is one of another world.
            StellatuneError: the cell broke, or was broken before.
        """
        with self.cell.entered(str(request.__struct_config__.tag)):
            value = self._configured(request)
            return self._answer(request) if value is None else value

    def close(self) -> tuple[StellatuneError, ...]:
        """``close`` and the destructor, as far as the guest is sound; gives what went wrong. May be called again."""
        if self._closed:
            return ()
        self._closed = True
        try:
            with self.cell.entered(f"{self._world}.close"):
                self._close(self.resource, deadline=self.deadlines.drop)
            with self.cell.entered(f"{self._world}.drop"):
                self.cell.drop(self.resource)
        except StellatuneError as error:
            return (error,)
        return ()

    @abc.abstractmethod
    def _bind(self) -> None:
        """Prepare the methods of the world."""

    @abc.abstractmethod
    def _answer(self, request: InstanceRequest) -> Value:
        """Answer a request of the world; others go to :meth:`foreign`."""

    def foreign(self, request: InstanceRequest) -> ValueInvalid:
        """What to raise for a request that this world has no answer to."""
        return ValueInvalid(f"a {self._name} of {self._world} does not answer {type(request).__name__}")

    def reconfigured(self) -> None:  # noqa: B027 - most worlds learn nothing
        """A configuration or a state was taken: what was learned from the guest may have changed."""

    def _configured(self, request: InstanceRequest) -> Value | None:
        deadline = self.deadlines.call
        match request:
            case PlanConfig(config_json=config):
                return Plan(_plan(unwrap(self._plan(self.resource, config, deadline=deadline))))
            case ApplyConfig(config_json=config):
                self.reconfigured()
                with _refusals():
                    unwrap(self._apply(self.resource, config, deadline=deadline))
                return Nothing()
            case ExportState():
                return Text(_state(unwrap(self._export(self.resource, deadline=deadline))))
            case ImportState(state_json=state):
                self.reconfigured()
                unwrap(self._import(self.resource, state, deadline=deadline))
                return Nothing()
            case _:
                return None


class _refusals:  # noqa: N801 - used as a statement
    """Turns a plugin's ``invalid-arg`` into what it means for a configuration."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PluginFailure) and error.case == "invalid-arg":
            reason = error.message.removeprefix("invalid-arg").removeprefix(": ")
            raise ConfigRejected(reason or "the plugin refuses this configuration") from error


def _plan(record: Any) -> ConfigUpdatePlan:
    reason = optional(record["reason"])
    return ConfigUpdatePlan(ConfigUpdateMode(record["mode"]), None if reason is None else clean(reason))


def _state(value: Any) -> str | None:
    text: str | None = optional(value)
    return None if text is None else json_text(text, "export-state-json", MAX_STATE_BYTES)
