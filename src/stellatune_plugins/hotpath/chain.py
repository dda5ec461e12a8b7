"""The fused chain: all hot-path stages of a session in one Store, driven by one conductor, many blocks a host call."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import RawCall
from stellatune_plugins.engine.store import GuestStore, StoreLimits
from stellatune_plugins.errors import (
    CallDeadline,
    ConfigRejected,
    GuestTrap,
    StellatuneError,
    StoreMisuse,
    ValueInvalid,
)
from stellatune_plugins.hotpath.fades import Blend
from stellatune_plugins.hotpath.layout import StageShape
from stellatune_plugins.hotpath.recovery import RecoveryPolicy
from stellatune_plugins.hotpath.runner import BatchRunner
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.hotpath.stage import HotStage, LiveStage, common_latency, longest_tail
from stellatune_plugins.hotpath.timing import Sample, share_out
from stellatune_plugins.hotpath.wiring import StageViews, Wiring
from stellatune_plugins.model import Block, Frames, RuntimeKind, StagePath, StageReport
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import PluginFailed

_MANY = 1 << 20
"""Instances and tables are bounded by the settings and by what is opened; memories are allowed one by one."""


class FusedChain:
    """Runs blocks through hot-path stages. Prepare once; then ``process`` as often as there is music.

    A stage that traps, hangs, lies or gives NaN never stops the music: the block goes on behind it, with the stage's
    input (delayed by the stage's latency) in its place, or silence for NaN; nothing is lost or processed twice.

    One thread at a time; another one gets an error, and nothing is disturbed.

    Args:
        engine: compiled the stages' modules.
        stages: in order. Neighbours that are processed in one call must have the same ``channels``.
        sample_rate: hertz.
        settings: limits and times.
        bus: where events go.
        index_of: the number of each stage in the whole session's chain, for events and reports.

    Raises:
        HotPathRejected, AbiVersionMismatch, InstantiateFailed, StageFailed, ConfigRejected, GuestTrap, CallDeadline: a
            stage cannot be prepared; the error names its plugin, and ``details['stage']`` its index. Nothing is left
            open.
    """

    def __init__(
        self,
        engine: WasmEngine,
        stages: Sequence[HotStage],
        *,
        sample_rate: int,
        settings: HotPathSettings | None = None,
        bus: EventBus | None = None,
        index_of: Sequence[int] | None = None,
    ) -> None:
        self._settings = settings or HotPathSettings()
        self._events = bus or EventBus()
        self._rate = sample_rate
        self._lock = threading.Lock()
        limits = StoreLimits(
            memory_bytes=max(self._settings.max_memory_bytes, self._settings.max_bus_bytes),
            instances=_MANY,
            tables=_MANY,
            memories=0,
        )
        self._store = GuestStore(engine, limits, label="hot path")
        try:
            numbers = index_of if index_of is not None else range(len(stages))
            self._stages: list[LiveStage] = []
            for index, stage in zip(numbers, stages, strict=True):
                self._stages.append(self._open(index, stage))
            wiring = Wiring(self._store, self._stages, self._settings)
            self._runner = BatchRunner(
                self._store,
                self._stages,
                wiring,
                sample_rate=sample_rate,
                settings=self._settings,
                events=self._events,
            )
            self._groups: dict[tuple[int, int], _Group] = {}
        except BaseException:
            self._store.close()
            raise

    def _open(self, index: int, made_from: HotStage) -> LiveStage:
        try:
            instances = made_from.open(self._store, sample_rate=self._rate, settings=self._settings)
            latency = common_latency(instances, self._rate)
            tail = longest_tail(instances, self._rate)
        except StellatuneError as error:
            error.details["stage"] = index
            raise made_from.blame(error, "hot.prepare") from error.__cause__
        regions = instances[0].regions
        pauses = tuple(round(pause * self._rate) for pause in self._settings.replacement_pauses)
        return LiveStage(
            index=index,
            made_from=made_from,
            instances=instances,
            policy=RecoveryPolicy(strikes=self._settings.strikes, pauses=pauses),
            shape=StageShape(
                channels=made_from.channels,
                mapping=made_from.mapping,
                delay=_room_for_latency(latency),
                input=regions.input,
                output=regions.output,
            ),
            blend=Blend(max(1, round(self._settings.fade_ms * self._rate / 1000))),
            latency=latency,
            tail=tail,
            config_json=made_from.config_json,
        )

    # --- processing -------------------------------------------------------------------------------------------------

    @property
    def stages(self) -> int:
        """How many stages there are."""
        return len(self._stages)

    def latency(self, first: int = 0, end: int | None = None) -> Frames:
        """Frames that the output of these stages lags their input."""
        return Frames(sum(stage.latency for stage in self._stages[first:end]))

    def tail(self, first: int = 0, end: int | None = None) -> Frames | None:
        """Frames that still come after the input ended, ``None`` for a tail without end."""
        tails = [stage.tail for stage in self._stages[first:end]]
        known = [tail for tail in tails if tail is not None]
        return Frames(sum(known)) if len(known) == len(tails) else None

    def process(self, block: Block, first: int = 0, end: int | None = None) -> Block:
        """Run a block of any length through stages ``first`` to ``end``.

        Args:
            block: shape ``(frames, channels)``, float32.
            first: the first stage.
            end: the first stage behind; all by default.

        Returns:
            As many frames. The array is only valid until the next call.

        Raises:
            ValueInvalid: the block or the range does not fit.
            StoreMisuse: the chain is closed, or another thread is in it.
        """
        group = self._groups.get((first, len(self._stages) if end is None else end))
        if group is None:
            group = self._group(first, len(self._stages) if end is None else end)
        if self._lock.locked():
            raise self._misuse()
        with self._lock:
            return group.process(block)

    def _group(self, first: int, end: int) -> _Group:
        if not 0 <= first <= end <= len(self._stages):
            raise ValueInvalid(f"there is no stage {first} to {end}")
        if len({stage.shape.channels for stage in self._stages[first:end]}) > 1:
            raise ValueInvalid("stages of different channels cannot be processed in one call")
        return self._groups.setdefault((first, end), _Group(self._store, self._runner, self._stages, first, end))

    # --- control ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Between two calls of process, with every clock set."""
        if self._lock.locked():
            raise self._misuse()
        with self._lock:
            if self._store.closed:
                raise self._misuse()
            for group in self._groups.values():
                group.disarm()
            yield
            self._runner.note_special()

    def _misuse(self) -> StoreMisuse:
        if self._store.closed:
            return StoreMisuse("the chain was closed")
        return StoreMisuse("the chain is in use by another thread", hint="one thread at a time may use a chain")

    def bypass(self, k: int) -> None:
        """Fade a stage out; the music goes round it, as late as before."""
        with self._alone():
            stage = self._stages[k]
            stage.held_out, stage.return_at = True, None
            stage.blend.fade_out()
            self._runner.rest(k)

    def engage(self, k: int) -> None:
        """Fade a stage in again, as a fresh instance where the old one is dead or to be renewed."""
        with self._alone():
            stage = self._stages[k]
            if not stage.held_out and not stage.dead:
                return
            stage.held_out = False
            if stage.dead or (stage.renew and stage.bypassed):
                self._runner.replace(k)
            elif stage.bypassed:
                self._runner.reset(k)
                if not stage.dead:
                    stage.bypassed = False
                    self._runner.wiring.views[k].set_bypassed(bypassed=False)
                    stage.blend.fade_in(stage.latency)
            elif not stage.renew:
                stage.blend.fade_in()

    def replace(self, k: int) -> None:
        """Fade a stage out and a fresh instance of it in; one that is held out is renewed when it is engaged."""
        with self._alone():
            self._renew(k)

    def _renew(self, k: int) -> None:
        stage = self._stages[k]
        stage.renew = True
        if not stage.held_out and not stage.dead:
            if stage.bypassed:
                self._runner.replace(k)
            else:
                stage.blend.fade_out()
                self._runner.rest(k)

    def configure(self, k: int, config_json: str) -> None:
        """Give a stage another effective configuration, without stopping.

        A module that cannot take it while it runs gets a fresh instance, faded in.

        Raises:
            ConfigRejected: the module refused; the old configuration is still in force.
            GuestTrap, CallDeadline, GuestContract: it crashed over it; the stage is bypassed and comes back with the
                old one.
            HotPathRejected: its new latency takes too much memory; likewise.
        """
        with self._alone():
            stage = self._stages[k]
            if stage.dead:
                stage.config_json = config_json
                return
            if not stage.instances[0].takes_config:
                stage.config_json = config_json
                self._renew(k)
                return
            try:
                self._configure(k, stage, config_json)
            except ConfigRejected as error:
                raise stage.made_from.blame(error, "hot.config") from error.__cause__
            except StellatuneError as error:
                blamed = stage.made_from.blame(error, "hot.config")
                self._runner.crash(k, blamed)
                raise blamed from error.__cause__

    def _configure(self, k: int, stage: LiveStage, config_json: str) -> None:
        views = self._runner.wiring.views[k]
        taken = 0
        try:
            for instance in stage.instances:
                instance.configure(config_json)
                taken += 1
        except ConfigRejected:
            for instance in stage.instances[:taken]:
                instance.configure(stage.config_json)
            raise
        finally:
            views.set_instances(stage.instances)  # its memory may have grown, by the module or by the host
        latency = common_latency(stage.instances, self._rate)
        tail = longest_tail(stage.instances, self._rate)
        if latency > stage.shape.delay:
            self._rewire(stage, latency)
        stage.latency, stage.tail, stage.config_json = latency, tail, config_json
        self._runner.wiring.views[k].set_latency(latency)

    def _rewire(self, stage: LiveStage, latency: Frames) -> None:
        """A larger bus for a longer dry line; the sound on the old one goes along."""
        before = stage.shape, stage.latency
        stage.shape = msgspec.structs.replace(stage.shape, delay=_room_for_latency(latency))
        try:
            self._runner.wiring = Wiring(self._store, self._stages, self._settings, self._runner.wiring)
        except StellatuneError:
            stage.shape, stage.latency = before
            raise
        self._groups.clear()

    def reset(self) -> None:
        """Forget all sound that is still in the stages, as after a seek."""
        with self._alone():
            for k, (stage, views) in enumerate(zip(self._stages, self._runner.wiring.views, strict=True)):
                views.forget()
                stage.blend.forget()
                if not stage.dead:
                    self._runner.reset(k)

    # --- reporting and the end --------------------------------------------------------------------------------------

    def reports(self) -> tuple[StageReport, ...]:
        """Every stage's work so far."""
        for group in self._groups.values():
            group.disarm()
        seconds = [0.0] * len(self._stages)
        for group in self._groups.values():
            seconds[group.first : group.end] = group.seconds()
        return tuple(
            StageReport(
                index=stage.index,
                plugin=stage.made_from.plugin,
                type_id=stage.made_from.type_id,
                runtime=RuntimeKind.WASM,
                path=StagePath.HOT,
                seconds=each,
                frames=stage.clock,
                latency=stage.latency,
                tail=stage.tail,
                mapping=stage.shape.mapping.value,
                silenced_blocks=stage.silenced,
                bypasses=tuple(stage.bypasses),
            )
            for stage, each in zip(self._stages, seconds, strict=True)
        )

    def close(self) -> None:
        """Let every living guest end its context, then free the Store. May be called again.

        Raises:
            StoreMisuse: another thread is in the chain; nothing was done.
        """
        if self._store.closed:
            return
        if self._lock.locked():
            raise self._misuse()
        with self._lock:
            for group in self._groups.values():
                group.disarm()
            for stage in self._stages:
                if not stage.dead:
                    self._drop(stage)
            self._store.close()
            for group in self._groups.values():
                group.close()

    def _drop(self, stage: LiveStage) -> None:
        for instance in stage.instances:
            try:
                instance.drop()
            except StellatuneError as error:
                blamed = stage.made_from.blame(error, "hot.drop")
                self._events.emit(
                    PluginFailed(plugin=blamed.plugin, operation="hot.drop", code=blamed.code, message=blamed.message)
                )
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _room_for_latency(latency: int) -> int:
    """Frames of history for a stage's dry line: more than it needs now, so that its latency may change a little."""
    return 0 if not latency else max(1024, 1 << (latency - 1).bit_length())


class _Group:
    """Some neighbouring stages that are run together, and everything that is prepared for it."""

    def __init__(
        self, store: GuestStore, runner: BatchRunner, stages: Sequence[LiveStage], first: int, end: int
    ) -> None:
        self.first, self.end = first, end
        self._store = store
        self._runner = runner
        self._stages = stages[first:end]
        views = runner.wiring.views[first:end]
        self._late: list[StageViews] = [each for each, stage in zip(views, self._stages, strict=True) if stage.latency]
        self._samples = views[0].samples if views else np.empty((0, 0), np.float32)
        self._output = np.empty(self._samples.shape, np.float32)
        self._ticks = store.engine.ticks(runner.process_deadline)
        self._time_every = runner.time_every
        self._batches = 0
        self._fused = Sample()
        self._shape: tuple[int, ...] | None = None
        """Of the blocks for which everything is prepared; ``None`` for not at all."""
        self._part = self._out = self._output
        self._calls = 0
        """On the hot road, since the stages' clocks were set."""

    def process(self, block: Block) -> Block:
        """See :meth:`FusedChain.process`."""
        runner = self._runner
        if block.shape != self._shape or runner.special:
            return self._plain(block)
        call = runner.wiring.run  # not kept: a replaced stage comes with another conductor
        # The hot road: nothing fades, nobody is timed, every argument is in place. The first is the position, and its
        # slot takes the result: both are 0 as long as all is well.
        part, out = self._part, self._out
        part[...] = block
        if runner.prepared_for is not self:
            runner.prepare(0, self.first, self.first, self.end, len(block))
            runner.prepared_for = self
        self._calls += 1
        try:
            self._store.arm(self._ticks)
            error = call.invoke()
            if error is not None or call.trapped or call.args[0]:
                self._recover(call, error, len(block))
            else:
                for views in self._late:
                    views.advance(len(block))
                if self._calls == self._time_every:
                    self.disarm()
        except BaseException:
            self.disarm()
            call.discard()
            raise
        # Copied out, since a view of guest memory would crash the process once the Store is closed.
        out[...] = part
        return out

    def _recover(self, call: RawCall, error: int | None, frames: int) -> None:
        """A fault on the hot road: go on by the plain one."""
        self._calls -= 1
        self.disarm()
        try:
            call.check(error)
        except (GuestTrap, CallDeadline) as trap:
            self._runner.run(self.first, self.end, frames, fault=trap)
        else:
            self._runner.run(self.first, self.end, frames, fault=self._runner.fault())

    def _plain(self, block: Block) -> Block:
        if self._store.closed:
            raise StoreMisuse("the chain was closed")
        if self.first == self.end:
            return block
        self.disarm()
        samples = self._samples
        frames, capacity = len(block), len(samples)
        if block.ndim != 2 or block.shape[1] != samples.shape[1]:
            raise ValueInvalid(f"a block of shape {block.shape} is not (frames, {samples.shape[1]})")
        if frames <= capacity:
            part, out = samples[:frames], self._output[:frames]
            part[...] = block
            self._batch(frames)
            out[...] = part
            if frames and self._batches % 2 == 0 and not self._runner.special:
                self._arm(block.shape, part, out)
            return out
        whole = np.empty(block.shape, np.float32)
        for start in range(0, frames, capacity):
            part = samples[: min(capacity, frames - start)]
            part[...] = block[start : start + capacity]
            self._batch(len(part))
            whole[start : start + len(part)] = part
        return whole

    def _arm(self, shape: tuple[int, ...], part: Block, out: Block) -> None:
        """From here on blocks of this shape take the hot road."""
        self._shape, self._part, self._out, self._calls = shape, part, out, 0

    def disarm(self) -> None:
        """Back to the plain road; the stages' clocks are set."""
        if self._shape is not None:
            done = self._calls * self._shape[0]
            for stage in self._stages:
                stage.clock += done
        self._shape = None
        self._runner.prepared_for = None

    def _batch(self, frames: int) -> None:
        """Everything that is on the bus. Some batches are timed, stage by stage or as a whole."""
        self._batches += 1
        start = time.perf_counter_ns()
        if self._runner.special or self._batches % 2 == 0:
            self._runner.run(self.first, self.end, frames)
            if not self._runner.special:
                self._fused.add(time.perf_counter_ns() - start, frames)
            return
        for k in range(self.first, self.end):
            start = time.perf_counter_ns()
            self._runner.run(k, k + 1, frames)
            self._stages[k - self.first].timed.add(time.perf_counter_ns() - start, frames)

    def seconds(self) -> list[float]:
        """Each stage's time."""
        return share_out(self._fused, [s.timed for s in self._stages], [s.clock for s in self._stages])

    def close(self) -> None:
        """Let go of everything on the bus."""
        self._shape = None
        self._late = []
        self._samples = self._part = np.empty((0, self._samples.shape[1]), np.float32)
