"""What every cell of an executor is made with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import msgspec

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.store import StoreLimits
from stellatune_plugins.executor.deadlines import Deadlines
from stellatune_plugins.executor.recovery import ReplacementPolicy
from stellatune_plugins.host.services import NoServices, PluginServices, ServicesFactory
from stellatune_plugins.observe import EventBus

CELL_LIMITS = StoreLimits(memory_bytes=256 * 1024 * 1024, table_elements=100_000, instances=128, tables=128, memories=8)
"""Each memory may have 256 MiB, and a component needs one; adapters of language runtimes bring one or two more. A
Python component is some forty core instances that share one memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """Shared by all cells of one executor; only the bus and the engine are more than plain settings."""

    engine: WasmEngine
    bus: EventBus = dataclasses.field(default_factory=EventBus)
    deadlines: Deadlines = dataclasses.field(default_factory=Deadlines)
    limits: StoreLimits = CELL_LIMITS
    replacements: ReplacementPolicy = dataclasses.field(default_factory=ReplacementPolicy)
    services: ServicesFactory = NoServices
    """Makes what an active plugin may ask the host for; denies everything by default."""
    clock: Callable[[], float] = time.monotonic

    def of(self, services: PluginServices) -> Environment:
        """The environment of one plugin: with the memory and the deadlines that it asked for and was granted."""
        limits = self.limits
        if services.memory_mib is not None:
            limits = msgspec.structs.replace(limits, memory_bytes=services.memory_mib * 1024 * 1024)
        return dataclasses.replace(self, limits=limits, deadlines=self.deadlines.times(services.deadline_factor))
