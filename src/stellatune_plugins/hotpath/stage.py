"""A stage of the fused chain: what it is made from, and what is known of it while it runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import GuestContract, HotPathRejected, StellatuneError
from stellatune_plugins.hotpath.fades import Blend
from stellatune_plugins.hotpath.layout import MAX_INSTANCES, Mapping, StageShape, stage_channels
from stellatune_plugins.hotpath.module import HotInstance, check_spec
from stellatune_plugins.hotpath.recovery import RecoveryPolicy
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.hotpath.timing import Sample
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

    @property
    def count(self) -> int:
        """How many instances serve it."""
        return self.channels if self.mapping is Mapping.PER_CHANNEL else 1

    def open(self, store: GuestStore, *, sample_rate: int, settings: HotPathSettings) -> list[HotInstance]:
        """Check, instantiate, initialise and configure the instances that serve this stage.

        Raises:
            HotPathRejected, AbiVersionMismatch, InstantiateFailed, StageFailed, ConfigRejected, GuestTrap,
                CallDeadline: with the plugin's name filled in.
        """
        try:
            if self.count > MAX_INSTANCES:
                raise HotPathRejected(f"{self.count} channels of their own are too many", rule="channels")
            wanted = stage_channels(self.mapping, self.channels)
            regions = check_spec(self.spec, self.module, channels=wanted, settings=settings)
            instances = []
            for _ in range(self.count):
                store.allow_memories(store.limits.memories + 1)  # its own one, and no second
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
class LiveStage:
    """A stage at work."""

    index: int
    made_from: HotStage
    instances: list[HotInstance]
    policy: RecoveryPolicy
    shape: StageShape
    blend: Blend
    latency: Frames
    tail: Frames | None
    config_json: str
    bypassed: bool = False
    """The conductor passes it by."""
    dead: bool = False
    """Its instances trapped, hung or lied, and must not be called again."""
    held_out: bool = False
    """The user wants it out; no recovery brings it back."""
    renew: bool = False
    """A fresh instance takes its place when it is out, or is asked for again."""
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
        return self.blend.active or self.return_at is not None
