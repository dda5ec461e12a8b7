"""Bus, conductor and stages, connected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.core import PAGE, CoreInstance
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import HotPathRejected
from stellatune_plugins.hotpath.conductor import bus_module, conductor_module
from stellatune_plugins.hotpath.fades import Frame
from stellatune_plugins.hotpath.layout import BusLayout, StageAddresses, StageShape
from stellatune_plugins.hotpath.module import HotInstance
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.hotpath.stage import LiveStage
from stellatune_plugins.model import Block

MAX_MEMORIES = 100
"""A module may import so many memories at most (WebAssembly JS API, implementation limits, which wasmtime shares)."""


class StageViews:
    """One stage's places on the bus, as arrays. They die with the Store: nobody outside the chain gets one."""

    def __init__(self, memory: npt.NDArray[np.uint8], shape: StageShape, bus: BusLayout, where: StageAddresses) -> None:
        def floats(address: int, frames: int) -> npt.NDArray[np.float32]:
            view = memory[address : address + frames * shape.stride].view(np.float32)
            return view.reshape(frames, shape.channels)

        def words(address: int, count: int) -> npt.NDArray[np.uint32]:
            return memory[address : address + 4 * count].view(np.uint32)

        self.samples = floats(bus.samples, bus.batch_frames)
        self.last = floats(where.last, 1)[0]
        self.last_dry = floats(where.last_dry, 1)[0]
        self._dry = floats(where.dry, shape.delay + bus.batch_frames if shape.keeps_dry else 0)
        self._delay = shape.delay
        self._latency = words(where.latency, 1)
        self._mode = words(where.mode, 1)
        self._records = [words(address, 3) for address in where.records]

    def set_bypassed(self, bypassed: bool) -> None:
        """Tell the conductor whether to call the stage."""
        self._mode[0] = bypassed

    def set_latency(self, frames: int) -> None:
        """Tell the conductor how late the dry signal is to be."""
        self._latency[0] = frames

    def set_instances(self, instances: Sequence[HotInstance]) -> None:
        """Tell the conductor what to call the instances with, and how large their memories are."""
        for record, instance in zip(self._records, instances, strict=True):
            record[:] = (instance.context, instance.scratch, instance.memory.size() // PAGE)

    def heard(self, last: Frame, dry: Frame) -> None:
        """Note the last frame of a block that the host dealt with, and the dry one beside it."""
        self.last[:], self.last_dry[:] = last, dry

    def write_dry(self, position: int, block: Block) -> None:
        """Put a block that the stage did not get to see into the dry line."""
        if self._delay:
            at = self._delay + position
            self._dry[at : at + len(block)] = block

    def dry(self, position: int, end: int) -> Block | None:
        """Some frames as they would be without the stage, late by its latency; ``None`` for a stage without any."""
        if not self._delay:
            return None
        back = self._delay - int(self._latency[0])
        return self._dry[back + position : back + end]

    def advance(self, frames: int) -> None:
        """A batch is over: its end is the next one's history."""
        if self._delay:
            self._dry[: self._delay] = self._dry[frames : frames + self._delay]

    def take_over(self, old: StageViews) -> None:
        """Go on where another bus left off."""
        self.last[:], self.last_dry[:] = old.last, old.last_dry
        known = min(self._delay, old._delay)
        if known:
            self._dry[self._delay - known : self._delay] = old._dry[old._delay - known : old._delay]

    def forget(self) -> None:
        """After a seek, nothing was heard before."""
        self.last[:] = self.last_dry[:] = 0
        self._dry[: self._delay] = 0


class Wiring:
    """The bus and the conductor for one row of stages.

    Args:
        store: where the stages live.
        stages: in order.
        settings: sizes.
        old: the wiring that this one takes over from.

    Raises:
        HotPathRejected: the stages do not fit; ``details['stage']`` has the index of the one that is too many.
    """

    def __init__(
        self, store: GuestStore, stages: Sequence[LiveStage], settings: HotPathSettings, old: Wiring | None = None
    ) -> None:
        self._store = store
        self._deadline = settings.instantiate_deadline
        shapes = tuple(stage.shape for stage in stages)
        smallest = min((stage.instances[0].regions.max_frames for stage in stages), default=settings.block_frames)
        self.block_frames = min(smallest, settings.block_frames)
        self.layout = _fit(stages, settings, self.block_frames)
        engine = store.engine
        store.allow_memories(store.limits.memories + 1)
        self._bus = CoreInstance(store, compile_trusted(engine, bus_module(self.layout.pages)), deadline=self._deadline)
        memory = self._bus.memory("bus")
        raw = memory.array(np.uint8, 0, memory.size())
        self.control = raw[:64].view(np.uint32)
        self.resets = raw[:64].view(np.uint64)
        self.views = [
            StageViews(raw, shape, self.layout, where) for shape, where in zip(shapes, self.layout.stages, strict=True)
        ]
        self._conductor = compile_trusted(engine, conductor_module(shapes, self.layout))
        for position, (stage, views) in enumerate(zip(stages, self.views, strict=True)):
            views.set_latency(stage.latency)
            views.set_bypassed(stage.bypassed)
            if old is not None:
                views.take_over(old.views[position])
        self.bind([stage.instances for stage in stages])

    def bind(self, stages: Sequence[Sequence[HotInstance]]) -> None:
        """Give the conductor these instances. Raises before anything has changed, or not at all."""
        imports = {("bus", "memory"): self._bus.raw_export("bus")}
        for position, instances in enumerate(stages):
            for number, hot in enumerate(instances):
                module = f"s{position}i{number}"
                imports[module, "memory"] = hot.instance.raw_export(hot.spec.memory_export)
                imports[module, "process"] = hot.instance.raw_export(hot.spec.process_export)
        conductor = CoreInstance(self._store, self._conductor, imports, deadline=self._deadline)
        self.run = conductor.call("run", "hot.process")
        for views, instances in zip(self.views, stages, strict=True):
            views.set_instances(instances)


def _fit(stages: Sequence[LiveStage], settings: HotPathSettings, block_frames: int) -> BusLayout:
    """The layout, once it is known that neither its memories nor its bytes are too many."""
    memories = 1
    for position, stage in enumerate(stages):
        memories += stage.shape.instances
        if memories > MAX_MEMORIES:
            raise stage.made_from.blame(
                HotPathRejected(
                    f"the fused chain has room for {MAX_MEMORIES - 1} instances", rule="memories", stage=stage.index
                ),
                "hot.prepare",
            )
        shapes = tuple(each.shape for each in stages[: position + 1])
        layout = BusLayout(shapes, batch_frames=settings.batch_frames, block_frames=block_frames)
        if layout.bytes > settings.max_bus_bytes:
            raise stage.made_from.blame(
                HotPathRejected(
                    f"a latency of {stage.latency} frames in {stage.shape.channels} channels takes too much memory",
                    rule="latency",
                    stage=stage.index,
                ),
                "hot.prepare",
            )
    shapes = tuple(stage.shape for stage in stages)
    return BusLayout(shapes, batch_frames=settings.batch_frames, block_frames=block_frames)
