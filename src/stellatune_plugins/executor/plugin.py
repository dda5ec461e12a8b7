"""One active plugin: its components, the cells that wait, the instances that run."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

from stellatune_plugins.errors import AbilityNotFound, HookFailed, InstanceDead, StellatuneError
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.component import ComponentLoader, LoadedComponent, load, open_package
from stellatune_plugins.executor.environment import Environment
from stellatune_plugins.executor.instance import Instance
from stellatune_plugins.executor.messages import Activate, PluginStatus
from stellatune_plugins.executor.states import PluginState
from stellatune_plugins.executor.worlds import serves_world
from stellatune_plugins.host.services import ServedPlugin
from stellatune_plugins.model import AbilityKey, ComponentId, DisableReason
from stellatune_plugins.observe.events import PluginDisabled, PluginEnabled, PluginFailed

GRACE: Final = 1.0
"""Seconds that calls in progress have to come out by themselves when their plugin is deactivated."""


class ActivePlugin:
    """What the executor keeps of a plugin between ``Activate`` and ``Deactivate``.

    Activation makes one cell a component, which proves that it instantiates and enables. That cell waits for the
    component's first instance; every further instance gets a cell of its own (ADR 0010).

    Args:
        plan: what to activate.
        env: what cells are made with.
    """

    def __init__(self, plan: Activate, env: Environment) -> None:
        self.plan = plan
        self.state = PluginState.ACTIVATING
        self._services = env.services(ServedPlugin(plugin=plan.plugin, version=plan.version, root=Path(plan.root)))
        self.env = env.of(self._services)
        self._lock = threading.Lock()
        self._components: dict[ComponentId, LoadedComponent] = {}
        self._standby: dict[ComponentId, Cell] = {}
        self._instances: dict[int, Instance] = {}

    def activate(self, loader: ComponentLoader) -> float:
        """Load and enable every component that this host can serve; all or none. Gives the seconds that it took.

        Raises:
            AbilityNotFound: the host serves none of them.
            StellatuneError: the first failure; what was enabled before is disabled again.
        """
        started = time.perf_counter()
        try:
            self._load(loader)
            self._services.start()
            for component in self._components.values():
                self._standby[component.ref.id] = Cell(component, self.env, self._services)
        except StellatuneError as error:
            self._close_standby(DisableReason.UNLOAD)
            self._services.close()
            if not isinstance(error, HookFailed):  # a failed hook has said so already
                self.env.bus.emit(
                    PluginFailed(plugin=self.plan.plugin, operation="activate", code=error.code, message=error.message)
                )
            raise
        except BaseException:
            self._close_standby(DisableReason.UNLOAD)
            self._services.close()
            raise
        self.state = PluginState.ACTIVE
        seconds = time.perf_counter() - started
        self.env.bus.emit(
            PluginEnabled(
                plugin=self.plan.plugin, version=self.plan.version, components=len(self._components), seconds=seconds
            )
        )
        return seconds

    def ability_keys(self) -> tuple[AbilityKey, ...]:
        """What can be created, once active."""
        return tuple(
            AbilityKey(self.plan.plugin, ability.kind, ability.type_id, component.ref.id)
            for component in self._components.values()
            for ability in component.ref.abilities
        )

    def take_cell(self, component: ComponentId) -> Cell:
        """The component's waiting cell, or a fresh one.

        Raises:
            StellatuneError: the fresh one could not be made.
        """
        with self._lock:
            cell = self._standby.pop(component, None)
        return cell if cell is not None else Cell(self._components[component], self.env, self._services)

    def add(self, instance: Instance) -> None:
        """Count an instance as the plugin's, before it is opened.

        Raises:
            InstanceDead: the plugin is on its way out.
        """
        with self._lock:
            if self.state is not PluginState.ACTIVE:
                raise InstanceDead(f"the plugin is {self.state}", plugin=self.plan.plugin, operation="create-instance")
            self._instances[instance.number] = instance

    def remove(self, instance: Instance) -> None:
        """Forget an instance that was closed."""
        with self._lock:
            self._instances.pop(instance.number, None)

    def deactivate(self, reason: DisableReason) -> tuple[StellatuneError, ...]:
        """End instances in reverse order, then the waiting cells; gives what went wrong on the way."""
        started = time.perf_counter()
        with self._lock:
            self.state = PluginState.DEACTIVATING
            instances = sorted(self._instances.values(), key=lambda i: -i.number)
        self._interrupt(instances)
        failures: list[StellatuneError] = []
        for instance in instances:
            failures += instance.close(reason)
        failures += self._close_standby(reason)
        self._services.close()
        self.env.bus.emit(
            PluginDisabled(
                plugin=self.plan.plugin,
                reason=str(reason),
                forced=bool(failures),
                seconds=time.perf_counter() - started,
            )
        )
        return tuple(failures)

    def _interrupt(self, instances: list[Instance]) -> None:
        """Have calls that are in progress come back: by what they wait in, else by the end of all services.

        A name look-up or a fetch has no object that could be closed. The plugin as a whole is on its way out, so its
        services may go a little early; nobody else has a part in them.
        """
        end = time.monotonic() + GRACE
        busy = [instance for instance in instances if instance.interrupt()]
        if not all(instance.wait_idle(max(0.0, end - time.monotonic())) for instance in busy):
            self._services.close()

    def status(self) -> PluginStatus:
        """The state as data."""
        with self._lock:
            return PluginStatus(
                self.plan.plugin,
                self.plan.version,
                self.state,
                len(self._components),
                len(self._standby),
                len(self._instances),
            )

    def _load(self, loader: ComponentLoader) -> None:
        refs = [ref for ref in self.plan.components if serves_world(ref.world)]
        if not refs:
            worlds = ", ".join(ref.world for ref in self.plan.components)
            raise AbilityNotFound(
                f"this host runs none of the plugin's worlds: {worlds}", plugin=self.plan.plugin, operation="activate"
            )
        package = open_package(self.plan)
        for ref in refs:
            self._components[ref.id] = load(package, ref, loader)

    def _close_standby(self, reason: DisableReason) -> list[StellatuneError]:
        failures: list[StellatuneError] = []
        while self._standby:
            with self._lock:
                _, cell = self._standby.popitem()
            failures += cell.close(reason)
        return failures
