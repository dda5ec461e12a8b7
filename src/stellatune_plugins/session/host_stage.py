"""A stage that the host calls block by block: a component without a hot path, or a native processor.

It keeps the same promises as a fused stage: a block is never lost or processed twice, crashes and bad samples end in
the dry signal or silence, and coming and going fades. NaN and infinity in its input are the host's own, and count as 0.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stellatune_plugins.contract import DspProcessor
from stellatune_plugins.errors import (
    ConfigRejected,
    GuestContract,
    InstanceDead,
    NativePluginFailed,
    PluginFailure,
    StageFailed,
    StellatuneError,
)
from stellatune_plugins.hotpath import HotPathSettings, Mapping
from stellatune_plugins.hotpath.fades import Blend, Frame
from stellatune_plugins.hotpath.recovery import RecoveryPolicy
from stellatune_plugins.model import AudioSpec, Block, ConfigUpdateMode, ConfigUpdatePlan, Frames, StageReport
from stellatune_plugins.observe import EventBus
from stellatune_plugins.session import channel_map
from stellatune_plugins.session.dry_line import DryLine
from stellatune_plugins.session.plugin_calls import calling
from stellatune_plugins.session.processor_group import Measures, ProcessorGroup
from stellatune_plugins.session.stage_journal import StageIdentity, StageJournal

BLOCK_FRAMES = 4096
"""The most frames in one call: a component's bytes cost 32 bytes of value each on the way."""


_REFUSALS = (ConfigRejected, PluginFailure)
"""A plugin's own answers to a configuration, after which it goes on as before."""


class HostStage:
    """One stage, driven call by call.

    Args:
        identity: for events and reports.
        make: makes the processors that serve the stage, configured; called again after a crash.
        spec: the chain's shape at this stage.
        mapping: how its channels reach the processors.
        bus: where events go.
        settings: fades, strikes, pauses, and how much latency is plausible.
        processors: the first ones, where they are there already. They are the stage's, and closed with it, even where
            it cannot be made.
        config_json: the effective configuration that the first ones were made with.

    Raises:
        StellatuneError: the first processors cannot be made, or what they say of themselves cannot be.
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
        config_json: str | None = None,
    ) -> None:
        self._identity = identity
        self._make = make
        self._mapping = mapping
        self._journal = StageJournal(identity, bus)
        self._spec = spec
        self._settings = settings
        self._config_json = config_json
        self._group, measures = self._enlist(processors)
        self._latency, self._tail, self._width = measures.latency, measures.tail, measures.width
        self.output_channels = measures.width if mapping is Mapping.DIRECT else spec.channels
        pauses = tuple(round(pause * spec.sample_rate) for pause in settings.replacement_pauses)
        self._policy = RecoveryPolicy(strikes=settings.strikes, pauses=pauses)
        self._fade_frames = max(1, round(settings.fade_ms * spec.sample_rate / 1000))
        self._blend = Blend(self._fade_frames)
        self._dry = DryLine(self._latency, spec.channels, self.output_channels)
        self._last: Frame | None = None
        """What was heard last, and what would have been without the stage."""
        self._last_dry: Frame | None = None
        self._alive = True
        self._held_out = False
        self._return_at: int | None = None
        self._clock = 0

    def latency(self) -> Frames:
        """Frames that the output lags the input."""
        return self._latency

    def tail(self) -> Frames | None:
        """Frames that still come after the input ended."""
        return self._tail

    def process(self, block: Block) -> Block:
        """A block of any length, none included, and of any strides. It is not changed; the result is the caller's."""
        out = np.empty((len(block), self.output_channels), np.float32)
        for start in range(0, len(block), BLOCK_FRAMES):
            part = block[start : start + BLOCK_FRAMES]
            out[start : start + len(part)] = self._block(part)
            self._clock += len(part)
        return out

    def _block(self, block: Block) -> Block:
        if self._return_at is not None and self._clock >= self._return_at:
            self._come_back()
        if not np.isfinite(block).all():
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        dry = self._dry.delayed(block)
        out = dry.copy()
        silent = False
        if self._alive and (self._blend.gain > 0.0 or self._blend.target > 0.0):
            silent = self._wet(block, out)
        if self._blend.active:
            self._mix(out, dry)
        self._last, self._last_dry = out[-1].copy(), dry[-1].copy()
        if silent:  # only now, so that what a crash ramps away starts behind the silence
            self._silence(len(out))
        return out

    def _wet(self, block: Block, out: Block) -> bool:
        """Replace the dry signal in ``out`` by the stage's, or leave it there where the stage fails.

        Returns:
            Whether it is silence instead, since the stage's samples are NaN or infinite.
        """
        start = time.perf_counter()
        try:
            results = self._group.process(block)
        except StellatuneError as error:
            # An error of the plugin's own is forgiven a few times; after any other its processors are done with.
            if not isinstance(error, (PluginFailure, StageFailed)) or self._policy.strike(self._clock, len(block)):
                self._crash(error)
            return False
        finally:
            self._journal.seconds += time.perf_counter() - start
        if not all(np.isfinite(result).all() for result in results):
            out[...] = 0
            return True
        for index, result in enumerate(results):
            channel_map.scatter(self._mapping, out, result, index)
        return False

    def _mix(self, out: Block, dry: Block) -> None:
        # Sums of finite samples near float32's end may be infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            self._blend.apply(out, dry)
        np.nan_to_num(out, copy=False)

    # --- failing and coming back ------------------------------------------------------------------------------------

    def _silence(self, frames: int) -> None:
        self._journal.silenced(self._clock, frames)
        if self._policy.strike(self._clock, frames):
            self._crash(GuestContract("samples are NaN or infinite", operation="dsp.process"))

    def _crash(self, error: StellatuneError) -> None:
        """Take the stage out, since its processors must not be called again, and plan its return."""
        error.at(plugin=self._identity.plugin, operation="dsp.process")
        self._alive = False
        self._blend.cut(self._last, self._last_dry)
        self._return_at = None if self._held_out else self._policy.return_at(self._clock + self._fade_frames)
        self._journal.bypassed(self._clock, error)

    def _come_back(self) -> None:
        start = time.perf_counter()
        self._end(self._group)
        try:
            fresh, measures = self._enlist()
            self._check_same(fresh, measures)
        except StellatuneError as error:
            self._crash(error)
            return
        self._take(fresh, measures)
        self._journal.recovered(self._clock, time.perf_counter() - start)

    def _enlist(self, processors: Sequence[DspProcessor] | None = None) -> tuple[ProcessorGroup, Measures]:
        """A group of these processors, or of fresh ones. They are ended where what they say of themselves cannot be."""
        if processors is None:
            with calling(self._identity.runtime, self._identity.plugin, "dsp.create"):
                processors = self._make()
        group = ProcessorGroup(
            processors,
            runtime=self._identity.runtime,
            plugin=self._identity.plugin,
            spec=self._spec,
            mapping=self._mapping,
            settings=self._settings,
            config_json=self._config_json,
        )
        try:
            return group, group.measure()
        except BaseException:
            self._end(group)
            raise

    def _check_same(self, fresh: ProcessorGroup, measures: Measures) -> None:
        """End a group that does not fit where the present one was.

        Raises:
            GuestContract: its latency or width is another one.
        """
        if (measures.latency, measures.width) == (self._latency, self._width):
            return
        self._end(fresh)
        raise GuestContract(
            f"its processor now has a latency of {measures.latency} frames and {measures.width} channels "
            f"instead of {self._latency} and {self._width}",
            plugin=self._identity.plugin,
            hint="latency and channels cannot change while the music plays; make a new chain",
        )

    def _take(self, fresh: ProcessorGroup, measures: Measures) -> None:
        """Let a fresh group serve the stage, faded in unless the user wants the stage out."""
        self._group, self._tail = fresh, measures.tail
        self._alive, self._return_at = True, None
        if not self._held_out:
            self._fade_in()

    def _fade_in(self) -> None:
        # What is left of a crash's ramp ends first, so that the two do not add up to a steeper one.
        hold = max(self._latency, self._blend.left) if self._blend.gain == 0.0 else 0
        self._blend.fade_in(hold=hold)

    # --- control ----------------------------------------------------------------------------------------------------

    def bypass(self) -> None:
        """Fade the stage out; the music goes round it, as late as before."""
        self._held_out, self._return_at = True, None
        self._blend.fade_out()

    def engage(self) -> None:
        """Fade the stage in again, with fresh processors where the old ones are dead.

        A stage that was all out is heard again once its latency has filled with new sound: it was not called meanwhile.
        """
        self._held_out = False
        if not self._alive:
            self._come_back()
        elif self._blend.target == 0.0:
            self._fade_in()

    @contextlib.contextmanager
    def _fatal_but(self, *harmless: type[StellatuneError]) -> Iterator[None]:
        """Errors in here take the stage out, but for some after which its processors go on as before."""
        try:
            yield
        except harmless:
            raise
        except StellatuneError as error:
            self._crash(error)
            raise

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        """How the processors would take a configuration; dead ones are replaced in any case.

        Raises:
            StellatuneError: they cannot say; where the asking killed them, they are bypassed and come back.
        """
        if not self._alive:
            return ConfigUpdatePlan(ConfigUpdateMode.RECREATE, "its processors are dead")
        # A plan changes nothing, so native code goes on after any exception.
        with self._fatal_but(*_REFUSALS, NativePluginFailed):
            return self._group.plan(config_json)

    def apply_config(self, config_json: str) -> None:
        """Give every processor an effective configuration that its own plan takes as it runs: all of them, or none.

        Raises:
            ConfigRejected, PluginFailure: a processor refuses it; the old one is still in force.
            InstanceDead: there are no living processors.
            StellatuneError: it killed one; the stage is bypassed, and comes back as it was made.
        """
        if not self._alive:
            raise InstanceDead("its processors are dead", plugin=self._identity.plugin, operation="config.apply")
        try:
            with self._fatal_but(*_REFUSALS):
                self._group.apply(config_json)
        except _REFUSALS:
            with contextlib.suppress(StellatuneError), self._fatal_but():
                self._group.take_back()
            raise
        with self._fatal_but():
            measures = self._group.measure()
            self._check_same(self._group, measures)
        self._tail, self._config_json = measures.tail, config_json

    def remake(self, config_json: str | None = None) -> None:
        """Put fresh processors in the place of the present ones, with their state.

        They are faded in, unless the stage is out because the user wants it so.

        Args:
            config_json: the effective configuration that they are to have, over what is in the state.

        Raises:
            StellatuneError: the fresh ones cannot be made, refuse, or do not fit; the present ones go on.
        """
        start, revived = time.perf_counter(), not self._alive
        fresh, measures = self._enlist()
        try:
            if self._alive:
                self._group.hand_over(fresh)
            if config_json is not None:
                fresh.apply(config_json)
            measures = fresh.measure()
        except BaseException:
            self._end(fresh)
            raise
        self._check_same(fresh, measures)
        self._end(self._group)
        self._blend.cut(self._last, self._last_dry)
        self._take(fresh, measures)
        self._config_json = self._config_json if config_json is None else config_json
        if revived:
            self._journal.recovered(self._clock, time.perf_counter() - start)

    def report(self) -> StageReport:
        """The stage's work so far."""
        return self._journal.report(frames=self._clock, latency=self._latency, tail=self._tail, mapping=self._mapping)

    def _end(self, group: ProcessorGroup) -> None:
        for error in group.close():
            self._journal.not_closed(error)

    def close(self) -> None:
        """End the processors; the dry signal is all that is left. May be called again."""
        self._alive, self._return_at = False, None
        self._end(self._group)
