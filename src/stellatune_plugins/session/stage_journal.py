"""What one host-called stage did so far: told as events while it happens, and in the report."""

from __future__ import annotations

import msgspec

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.hotpath import Mapping
from stellatune_plugins.model import Bypass, Frames, RuntimeKind, StagePath, StageReport
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import PluginFailed, StageBypassed, StageRecovered, StageSilenced


class StageIdentity(msgspec.Struct, frozen=True):
    """Who a stage is."""

    index: int
    plugin: str
    type_id: str
    runtime: RuntimeKind
    fallback: str | None = None


class StageJournal:
    """Keeps count, and tells the bus. Frames are those of the stream.

    Attributes:
        seconds: time spent in the stage's processors.
    """

    def __init__(self, identity: StageIdentity, bus: EventBus) -> None:
        self._identity = identity
        self._bus = bus
        self._silenced = 0
        self._bypasses: list[Bypass] = []
        self.seconds = 0.0

    def silenced(self, at: int, frames: int) -> None:
        """A block was NaN or infinite."""
        self._silenced += 1
        who = self._identity
        self._bus.emit(StageSilenced(plugin=who.plugin, stage=who.index, at_frame=at, frames=frames))

    def bypassed(self, at: int, error: StellatuneError) -> None:
        """The stage was taken out."""
        who = self._identity
        self._bypasses.append(Bypass(at_frame=at, code=error.code, reason=error.message))
        self._bus.emit(
            StageBypassed(plugin=who.plugin, stage=who.index, at_frame=at, code=error.code, reason=error.message)
        )

    def recovered(self, at: int, seconds: float) -> None:
        """Fresh processors serve it."""
        who = self._identity
        if self._bypasses and self._bypasses[-1].until_frame is None:
            self._bypasses[-1] = msgspec.structs.replace(self._bypasses[-1], until_frame=at)
        self._bus.emit(StageRecovered(plugin=who.plugin, stage=who.index, at_frame=at, seconds=seconds))

    def not_closed(self, error: StellatuneError) -> None:
        """A processor failed while it was ended."""
        self._bus.emit(
            PluginFailed(plugin=self._identity.plugin, operation="dsp.close", code=error.code, message=error.message)
        )

    def report(self, *, frames: int, latency: Frames, tail: Frames | None, mapping: Mapping) -> StageReport:
        """The stage's work so far."""
        who = self._identity
        return StageReport(
            index=who.index,
            plugin=who.plugin,
            type_id=who.type_id,
            runtime=who.runtime,
            path=StagePath.NATIVE if who.runtime is RuntimeKind.NATIVE else StagePath.COMPONENT,
            seconds=self.seconds,
            frames=frames,
            latency=latency,
            tail=tail,
            mapping=mapping.value,
            silenced_blocks=self._silenced,
            bypasses=tuple(self._bypasses),
            fallback=who.fallback,
        )
