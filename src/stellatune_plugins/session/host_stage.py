"""A stage that the host calls block by block: a component without a hot path, or a native processor.

It keeps the same promises as a fused stage: a block is never lost or processed twice, crashes and bad samples end in
the dry signal or silence, and coming and going fades.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from stellatune_plugins.contract import DspProcessor
from stellatune_plugins.errors import GuestContract, PluginFailure, StageFailed, StellatuneError
from stellatune_plugins.hotpath import HotPathSettings, Mapping
from stellatune_plugins.hotpath.fades import Fade, FadeKind
from stellatune_plugins.hotpath.recovery import RecoveryPolicy
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    Bypass,
    ConfigUpdatePlan,
    Frames,
    RuntimeKind,
    StagePath,
    StageReport,
)
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import PluginFailed, StageBypassed, StageRecovered, StageSilenced
from stellatune_plugins.session import channel_map

BLOCK_FRAMES = 4096
"""The most frames in one call: a component's bytes cost 32 bytes of value each on the way."""


class StageIdentity(msgspec.Struct, frozen=True):
    """Who a stage is."""

    index: int
    plugin: str
    type_id: str
    runtime: RuntimeKind
    fallback: str | None = None


class HostStage:
    """One stage, driven call by call.

    Args:
        identity: for events and reports.
        make: makes the processors that serve the stage, configured; called again after a crash.
        spec: the chain's shape at this stage.
        mapping: how its channels reach the processors.
        bus: where events go.
        settings: fades, strikes and pauses.
    """

    def __init__(
        self,
        identity: StageIdentity,
        make: Callable[[], Sequence[DspProcessor]],
        *,
        spec: AudioSpec,
        mapping: Mapping,
        bus: EventBus,
        settings: HotPathSettings,
        processors: Sequence[DspProcessor] | None = None,
    ) -> None:
        self._identity = identity
        self._make = make
        self._mapping = mapping
        self._bus = bus
        self._spec = spec
        self._processors = list(processors if processors is not None else make())
        self._fade_frames = max(1, round(settings.fade_ms * spec.sample_rate / 1000))
        pauses = tuple(round(pause * spec.sample_rate) for pause in settings.replacement_pauses)
        self._policy = RecoveryPolicy(strikes=settings.strikes, pauses=pauses)
        first = self._processors[0]
        self._latency = first.latency()
        self._tail = first.tail()
        direct = mapping is Mapping.DIRECT
        self.output_channels = first.output_channels() if direct else spec.channels
        self._history = np.zeros((self._latency, spec.channels), np.float32)
        self._last = np.zeros(self.output_channels, np.float32)
        self._alive = True
        self._held_out = False
        self._fade: Fade | None = None
        self._return_at: int | None = None
        self._clock = 0
        self._seconds = 0.0
        self._silenced = 0
        self._bypasses: list[Bypass] = []

    def latency(self) -> Frames:
        """Frames that the output lags the input."""
        return self._latency

    def tail(self) -> Frames | None:
        """Frames that still come after the input ended."""
        return self._tail

    def process(self, block: Block) -> Block:
        """A block of any length."""
        out = np.empty((len(block), self.output_channels), np.float32)
        for start in range(0, len(block), BLOCK_FRAMES):
            part = block[start : start + BLOCK_FRAMES]
            out[start : start + len(part)] = self._block(part)
            self._clock += len(part)
        return out

    def _block(self, block: Block) -> Block:
        if self._return_at is not None and self._clock >= self._return_at:
            self._come_back()
        dry = self._dry(block)
        out = dry.copy()
        if self._alive and not (self._held_out and self._fade is None):
            self._wet(block, out)
        if self._fade is not None:
            head = slice(0, self._fade.left)
            self._fade.apply(out[head], dry[head])
            if self._fade.kind is FadeKind.OUT:
                rest = slice(len(out[head]), None)
                out[rest] = dry[rest]
            if self._fade.left <= 0:
                self._fade = None
        self._last = out[-1].copy() if len(out) else self._last
        return out

    def _dry(self, block: Block) -> Block:
        """The block as it would be without the stage, late by the stage's latency, in the output's channels."""
        if self._latency:
            whole = np.concatenate((self._history, block))
            self._history = whole[len(block) :]
            block = whole[: len(block)]
        width = self.output_channels
        if width == self._spec.channels:
            return block
        if width < self._spec.channels:
            return np.ascontiguousarray(block[:, :width])
        return np.pad(block, ((0, 0), (0, width - self._spec.channels)))

    def _wet(self, block: Block, out: Block) -> None:
        """Replace the dry signal in ``out`` by the stage's, or leave it there where the stage fails."""
        start = time.perf_counter()
        try:
            results = [
                processor.process(channel_map.gather(self._mapping, block, index))
                for index, processor in enumerate(self._processors)
            ]
            self._check(results, len(block))
        except (PluginFailure, StageFailed) as error:
            if self._policy.strike(self._clock, len(block)):
                self._crash(error)
            return
        except StellatuneError as error:
            self._crash(error)
            return
        finally:
            self._seconds += time.perf_counter() - start
        if not all(np.isfinite(result).all() for result in results):
            self._silence(out)
            return
        for index, result in enumerate(results):
            channel_map.scatter(self._mapping, out, result, index)

    def _check(self, results: list[Block], frames: int) -> None:
        for result in results:
            if len(result) != frames:
                raise GuestContract(f"process gave {len(result)} frames instead of {frames}", operation="dsp.process")

    def _silence(self, out: Block) -> None:
        out[...] = 0
        self._silenced += 1
        self._bus.emit(
            StageSilenced(
                plugin=self._identity.plugin, stage=self._identity.index, at_frame=self._clock, frames=len(out)
            )
        )
        if self._policy.strike(self._clock, len(out)):
            self._crash(GuestContract("samples are NaN or infinite", operation="dsp.process"))

    def _crash(self, error: StellatuneError) -> None:
        error.at(plugin=self._identity.plugin, operation="dsp.process")
        self._alive = False
        self._fade = Fade(FadeKind.SETTLE, self._fade_frames, last=self._last)
        self._return_at = None if self._held_out else self._policy.return_at(self._clock + self._fade_frames)
        self._bypasses.append(Bypass(at_frame=self._clock, code=error.code, reason=error.message))
        self._bus.emit(
            StageBypassed(
                plugin=self._identity.plugin,
                stage=self._identity.index,
                at_frame=self._clock,
                code=error.code,
                reason=error.message,
            )
        )

    def _come_back(self) -> None:
        start = time.perf_counter()
        self._return_at = None
        self._end_processors()
        try:
            self._processors = list(self._make())
        except StellatuneError as error:
            self._crash(error)
            self._fade = None
            return
        self._alive = True
        self._fade = Fade(FadeKind.IN, self._fade_frames, hold=self._latency)
        if self._bypasses and self._bypasses[-1].until_frame is None:
            self._bypasses[-1] = msgspec.structs.replace(self._bypasses[-1], until_frame=self._clock)
        self._bus.emit(
            StageRecovered(
                plugin=self._identity.plugin,
                stage=self._identity.index,
                at_frame=self._clock,
                seconds=time.perf_counter() - start,
            )
        )

    # --- control ----------------------------------------------------------------------------------------------------

    def bypass(self) -> None:
        """Fade the stage out; the music goes round it, as late as before."""
        if not self._held_out:
            self._held_out, self._return_at = True, None
            if self._alive:
                self._fade = Fade(FadeKind.OUT, self._fade_frames)

    def engage(self) -> None:
        """Fade the stage in again, with fresh processors where the old ones are dead."""
        self._held_out = False
        if self._alive:
            self._fade = Fade(FadeKind.IN, self._fade_frames)
        else:
            self._come_back()

    def apply_config(self, config_json: str) -> None:
        """Give every processor an effective configuration that its own plan takes as it runs.

        Raises:
            ConfigRejected: a processor refuses it.
        """
        for processor in self._processors:
            processor.apply_config(config_json)

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        """How the processors would take a configuration."""
        return self._processors[0].plan_config(config_json)

    def remake(self) -> None:
        """Put fresh processors in the place of the present ones, with their state, and fade them in.

        Raises:
            StellatuneError: the fresh ones cannot be made; the present ones go on.
        """
        fresh = list(self._make())
        for old, new in zip(self._processors, fresh, strict=True):
            state = old.export_state()
            if state is not None:
                new.import_state(state)
        self._end_processors()
        self._processors, self._alive = fresh, True
        self._fade = Fade(FadeKind.IN, self._fade_frames, hold=self._latency)

    def report(self) -> StageReport:
        """The stage's work so far."""
        native = self._identity.runtime is RuntimeKind.NATIVE
        return StageReport(
            index=self._identity.index,
            plugin=self._identity.plugin,
            type_id=self._identity.type_id,
            runtime=self._identity.runtime,
            path=StagePath.NATIVE if native else StagePath.COMPONENT,
            seconds=self._seconds,
            frames=self._clock,
            latency=self._latency,
            tail=self._tail,
            mapping=self._mapping.value,
            silenced_blocks=self._silenced,
            bypasses=tuple(self._bypasses),
            fallback=self._identity.fallback,
        )

    def _end_processors(self) -> None:
        processors, self._processors = self._processors, []
        for processor in processors:
            try:
                processor.close()
            except StellatuneError as error:
                self._bus.emit(
                    PluginFailed(
                        plugin=self._identity.plugin, operation="dsp.close", code=error.code, message=error.message
                    )
                )

    def close(self) -> None:
        """End the processors. May be called again."""
        self._end_processors()
