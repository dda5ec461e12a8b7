"""A stage of the fused chain: what it is made from, and what is known of it while it runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stellatune_plugins.engine.core import PAGE, CoreModule
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import GuestContract, StellatuneError
from stellatune_plugins.hotpath.fades import Fade
from stellatune_plugins.hotpath.layout import BusLayout, Mapping, StageAddresses, StageShape, stage_channels
from stellatune_plugins.hotpath.module import HotInstance, check_spec
from stellatune_plugins.hotpath.recovery import RecoveryPolicy
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.model import Bypass, CoreModuleSpec, Frames


@dataclass(frozen=True, slots=True)
class HotStage:
    """What a stage is made from.

    ``channels`` are those of the chain; ``spec.buffer.channels`` those of the stage, as ``mapping`` relates them.
    """

    plugin: str
    type_id: str
    component: str
    module: CoreModule
    spec: CoreModuleSpec
    channels: int
    config_json: str = "{}"
    mapping: Mapping = Mapping.DIRECT

    def open(self, store: GuestStore, *, sample_rate: int, settings: HotPathSettings) -> list[HotInstance]:
        """Check, instantiate, initialise and configure the instances that serve this stage.

        Raises:
            HotPathRejected, AbiVersionMismatch, StageFailed, ConfigRejected, GuestTrap, CallDeadline: with the
                plugin's name filled in.
        """
        try:
            wanted = stage_channels(self.mapping, self.channels)
            regions = check_spec(self.spec, self.module, channels=wanted, settings=settings)
            count = self.channels if self.mapping is Mapping.PER_CHANNEL else 1
            instances = []
            for _ in range(count):
                instance = HotInstance(
                    store, self.module, self.spec, regions, sample_rate=sample_rate, settings=settings
                )
                if instance.takes_config:
                    instance.configure(self.config_json)
                instances.append(instance)
        except StellatuneError as error:
            raise self.blame(error, "hot.prepare") from error.__cause__
        return instances

    def blame(self, error: StellatuneError, operation: str) -> StellatuneError:
        """The error with this stage's name in it."""
        return error.at(
            plugin=self.plugin, component=self.component, capability=f"dsp/{self.type_id}", operation=operation
        )


def common_latency(instances: list[HotInstance], sample_rate: int) -> Frames:
    """The latency that all instances of a stage report.

    Raises:
        GuestContract: they differ.
    """
    reported = {instance.latency(sample_rate) for instance in instances}
    if len(reported) != 1:
        raise GuestContract(f"its instances report different latencies: {sorted(reported)}", operation="hot.latency")
    return reported.pop()


def longest_tail(instances: list[HotInstance], sample_rate: int) -> Frames | None:
    """The longest tail of a stage's instances, ``None`` for one without end."""
    tails = [instance.tail(sample_rate) for instance in instances]
    known = [tail for tail in tails if tail is not None]
    return max(known) if len(known) == len(tails) else None


@dataclass(slots=True)
class Sample:
    """Time that was measured, and for how many frames."""

    nanoseconds: int = 0
    frames: int = 0

    def add(self, nanoseconds: int, frames: int) -> None:
        """Count one more measurement."""
        self.nanoseconds += nanoseconds
        self.frames += frames

    @property
    def per_frame(self) -> float:
        """Nanoseconds a frame, 0 where nothing was measured."""
        return self.nanoseconds / self.frames if self.frames else 0.0


@dataclass(slots=True)
class LiveStage:
    """A stage at work."""

    index: int
    made_from: HotStage
    instances: list[HotInstance]
    policy: RecoveryPolicy
    shape: StageShape
    tail: Frames | None
    config_json: str
    bypassed: bool = False
    dead: bool = False
    """Its instances trapped, hung or lied, and must not be called again."""
    held_out: bool = False
    """The user wants it out; no recovery brings it back."""
    fade: Fade | None = None
    then_replace: bool = False
    """Once faded out, a fresh instance takes its place."""
    return_at: int | None = None
    clock: int = 0
    """Frames of the stream that went through or round it."""
    timed: Sample = field(default_factory=Sample)
    silenced: int = 0
    bypasses: list[Bypass] = field(default_factory=list)

    def fresh(self) -> HotStage:
        """What a successor is made from."""
        return dataclasses.replace(self.made_from, config_json=self.config_json)

    @property
    def special(self) -> bool:
        """Whether the next batch needs more than the conductor."""
        return self.fade is not None or self.return_at is not None


class StageViews:
    """One stage's places on the bus, as arrays."""

    def __init__(self, memory: npt.NDArray[np.uint8], shape: StageShape, bus: BusLayout, where: StageAddresses) -> None:
        def floats(address: int, frames: int) -> npt.NDArray[np.float32]:
            view = memory[address : address + frames * shape.stride].view(np.float32)
            return view.reshape(frames, shape.channels)

        def words(address: int, count: int) -> npt.NDArray[np.uint32]:
            return memory[address : address + 4 * count].view(np.uint32)

        self.samples = floats(bus.samples, bus.batch_frames)
        self.last = floats(where.last, 1)[0]
        self.history = floats(where.dry, shape.latency)
        self.dry = floats(where.dry, shape.latency + bus.block_frames if shape.keeps_dry else 0)
        self._mode = words(where.mode, 1)
        self._records = [words(address, 3) for address in where.records]
        self._latency = shape.latency

    def set_bypassed(self, bypassed: bool) -> None:
        """Tell the conductor whether to call the stage."""
        self._mode[0] = bypassed

    def set_instances(self, instances: list[HotInstance]) -> None:
        """Tell the conductor what to call the instances with, and how large their memories are."""
        for record, instance in zip(self._records, instances, strict=True):
            record[:] = (instance.context, instance.scratch, instance.memory.size() // PAGE)

    def delayed(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A copy of the block as it would be without the stage: late by the stage's latency. Changes nothing."""
        if not self._latency:
            return block.copy()
        return np.concatenate((self.history, block))[: len(block)]

    def push_history(self, block: npt.NDArray[np.float32]) -> None:
        """Remember a block that the conductor did not get to remember."""
        if self._latency:
            self.history[:] = np.concatenate((self.history, block))[len(block) :][: self._latency]
