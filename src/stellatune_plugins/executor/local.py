"""The executor in this process: messages in, replies out."""

from __future__ import annotations

import itertools
import logging
import threading
from types import TracebackType
from typing import Self

from stellatune_plugins.errors import AbilityNotFound, InstanceDead, PluginNotInstalled, StellatuneError, UsageError
from stellatune_plugins.executor.component import ComponentLoader
from stellatune_plugins.executor.environment import Environment
from stellatune_plugins.executor.failures import Failure
from stellatune_plugins.executor.instance import Instance
from stellatune_plugins.executor.messages import (
    Activate,
    Activated,
    Answer,
    Call,
    CloseInstance,
    CreateInstance,
    Deactivate,
    Deactivated,
    InstanceClosed,
    InstanceCreated,
    Lift,
    Lifted,
    Recover,
    Recovered,
    Reply,
    Request,
    Status,
    StatusReport,
)
from stellatune_plugins.executor.plugin import ActivePlugin
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.model import AbilityKey, DisableReason, PluginId

_log = logging.getLogger(__name__)


class LocalExecutor:
    """Runs plugins in this process. Any number of threads may send messages; an instance serves one at a time.

    Args:
        loader: compiles and caches components.
        env: the engine, limits, deadlines and events of all cells.
    """

    def __init__(self, loader: ComponentLoader, env: Environment) -> None:
        self.streams = StreamTable()
        self._loader = loader
        self._env = env
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._plugins: dict[PluginId, ActivePlugin] = {}
        self._gates: dict[PluginId, threading.Lock] = {}
        self._dispatch: dict[AbilityKey, ActivePlugin] = {}
        self._instances: dict[int, tuple[ActivePlugin, Instance]] = {}
        self._ended = False

    def handle(self, request: Request) -> Reply:
        """Do what a message asks. Whatever goes wrong is a :class:`Failure`; nothing is raised."""
        try:
            return self._handle(request)
        except StellatuneError as error:
            return Failure.of(error)
        except Exception as error:  # noqa: BLE001 - a defect of the host is an answer too, and is logged whole
            _log.exception("the executor failed on %s", type(request).__name__)
            wrapped = StellatuneError(f"the executor failed: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            return Failure.of(wrapped)

    def close(self) -> None:
        """Deactivate every plugin, the newest first. May be called again; afterwards nothing can be activated."""
        with self._lock:
            self._ended = True
            plugins = list(reversed(self._plugins))
        for plugin in plugins:
            try:
                self._deactivate(Deactivate(plugin, DisableReason.SHUTDOWN))
            except PluginNotInstalled:
                pass  # another thread was quicker
            except StellatuneError:
                _log.exception("shutting down %s failed", plugin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _handle(self, request: Request) -> Reply:  # noqa: PLR0911 - one case a request
        match request:
            case Call():
                return Answer(self._instance(request.instance)[1].call(request.request))
            case Activate():
                return self._activate(request)
            case Deactivate():
                return self._deactivate(request)
            case CreateInstance():
                return self._create(request)
            case Recover():
                return self._recover(request)
            case Lift():
                self._instance(request.instance)[1].lift()
                return Lifted(request.instance)
            case CloseInstance():
                return self._close_instance(request)
            case Status():
                return self._status()

    # --- plugins --------------------------------------------------------------------------------------------------

    def _gate(self, plugin: PluginId) -> threading.Lock:
        """Lets one thread at a time activate or deactivate a plugin; others wait and see the result."""
        with self._lock:
            return self._gates.setdefault(plugin, threading.Lock())

    def _activate(self, request: Activate) -> Activated:
        with self._gate(request.plugin):
            with self._lock:
                ended, active = self._ended, self._plugins.get(request.plugin)
            if ended:
                raise self._closed(request)
            if active is not None:
                return self._already(active, request)
            plugin = ActivePlugin(request, self._env)
            seconds = plugin.activate(self._loader)
            keys = plugin.ability_keys()
            with self._lock:
                if not self._ended:
                    self._plugins[request.plugin] = plugin
                    self._dispatch |= dict.fromkeys(keys, plugin)
                    return Activated(request.plugin, plugin.status().components, seconds)
            plugin.deactivate(DisableReason.SHUTDOWN)  # the executor was closed while the components were compiled
            raise self._closed(request)

    @staticmethod
    def _closed(request: Activate) -> UsageError:
        return UsageError("the executor was closed", plugin=request.plugin, operation="activate")

    @staticmethod
    def _already(active: ActivePlugin, request: Activate) -> Activated:
        if active.plan != request:
            raise UsageError(
                f"version {active.plan.version} is active already",
                plugin=request.plugin,
                operation="activate",
                hint="deactivate it before you activate another version",
            )
        return Activated(request.plugin, active.status().components, 0.0)

    def _deactivate(self, request: Deactivate) -> Deactivated:
        with self._gate(request.plugin):
            with self._lock:
                plugin = self._plugins.pop(request.plugin, None)
                if plugin is None:
                    raise PluginNotInstalled("the plugin is not active", plugin=request.plugin, operation="deactivate")
                self._dispatch = {key: p for key, p in self._dispatch.items() if p is not plugin}
            failures = plugin.deactivate(request.reason)
            # The ids of its instances stay known until here, so that a late call learns that its instance is dead.
            with self._lock:
                self._instances = {n: pair for n, pair in self._instances.items() if pair[0] is not plugin}
            return Deactivated(request.plugin, bool(failures), tuple(Failure.of(f) for f in failures))

    # --- instances ------------------------------------------------------------------------------------------------

    def _instance(self, number: int) -> tuple[ActivePlugin, Instance]:
        with self._lock:
            pair = self._instances.get(number)
        if pair is None:
            raise InstanceDead("there is no such instance any more", instance=number)
        return pair

    def _create(self, request: CreateInstance) -> InstanceCreated:
        key = request.ability
        with self._lock:
            plugin = self._dispatch.get(key)
            number = next(self._numbers)
        if plugin is None:
            raise AbilityNotFound(
                "no active plugin serves this ability",
                plugin=key.plugin_id,
                component=key.component_id,
                capability=f"{key.kind}/{key.type_id}",
                operation="create-instance",
            )
        instance = Instance(
            number, key, request.arguments, lambda: plugin.take_cell(key.component_id), self.streams, plugin.env
        )
        plugin.add(instance)
        try:
            instance.open()
        except BaseException:
            instance.close(DisableReason.UNLOAD)
            plugin.remove(instance)
            raise
        with self._lock:
            if plugin is self._dispatch.get(key):
                self._instances[number] = (plugin, instance)
                return InstanceCreated(number)
        instance.close(DisableReason.UNLOAD)  # the plugin was deactivated meanwhile
        raise InstanceDead("the plugin was deactivated", plugin=key.plugin_id, operation="create-instance")

    def _recover(self, request: Recover) -> Recovered:
        return self._instance(request.instance)[1].recover()

    def _close_instance(self, request: CloseInstance) -> InstanceClosed:
        with self._lock:
            plugin, instance = self._instances.pop(request.instance, (None, None))
        if plugin is None or instance is None:
            return InstanceClosed(request.instance, forced=False)
        failures = instance.close(DisableReason.UNLOAD)
        plugin.remove(instance)
        return InstanceClosed(request.instance, bool(failures), tuple(Failure.of(f) for f in failures))

    def _status(self) -> StatusReport:
        with self._lock:
            plugins = list(self._plugins.values())
            instances = [pair[1] for pair in self._instances.values()]
        return StatusReport(
            tuple(sorted((p.status() for p in plugins), key=lambda s: s.plugin)),
            tuple(sorted((i.status() for i in instances), key=lambda s: s.instance)),
        )
