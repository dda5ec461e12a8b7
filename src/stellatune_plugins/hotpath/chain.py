"""The fused chain: all hot-path stages of a session in one Store, driven by one conductor, many blocks a host call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from stellatune_plugins.contract import hot_path_abi as abi
from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreInstance
from stellatune_plugins.engine.store import GuestStore, StoreLimits
from stellatune_plugins.errors import (
    CallDeadline,
    ConfigRejected,
    GuestContract,
    GuestTrap,
    StageFailed,
    StellatuneError,
    StoreMisuse,
    ValueInvalid,
)
from stellatune_plugins.hotpath import layout
from stellatune_plugins.hotpath.conductor import bus_module, conductor_module
from stellatune_plugins.hotpath.fades import Fade, FadeKind
from stellatune_plugins.hotpath.layout import BusLayout, Fault, StageShape
from stellatune_plugins.hotpath.recovery import RecoveryPolicy
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.hotpath.stage import HotStage, LiveStage, Sample, StageViews, common_latency, longest_tail
from stellatune_plugins.model import Block, Bypass, Frames, RuntimeKind, StagePath, StageReport
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import (
    CallDeadlineExceeded,
    GuestTrapped,
    PluginFailed,
    StageBypassed,
    StageRecovered,
    StageSilenced,
)

# Instances are freed with the Store alone, so every replacement counts; so does each conductor. The sandbox's real
# limit is the recovery policy's.
_INSTANCES = 10_000


@dataclass(slots=True)
class _Armed:
    """A call that was made before, ready to be made again: the same stages, the same number of frames."""

    first: int
    end: int
    shape: tuple[int, ...]
    part: Block
    """The batch's place on the bus."""
    out: Block
    calls: int = 0
    """Made since the stages' clocks were set."""


class FusedChain:
    """Runs blocks through hot-path stages. Prepare once; then ``process`` as often as there is music.

    A stage that traps, hangs, lies or gives NaN never stops the music: the block goes on behind it, with the stage's
    input (delayed by the stage's latency) in its place, or silence for NaN; nothing is lost or processed twice.

    Args:
        engine: compiled the stages' modules.
        stages: in order. Neighbours that are processed in one call must have the same ``channels``.
        sample_rate: hertz.
        settings: limits and times.
        bus: where events go.
        index_of: the number of each stage in the whole session's chain, for events and reports.

    Raises:
        HotPathRejected, AbiVersionMismatch, StageFailed, ConfigRejected, GuestTrap, CallDeadline: a stage cannot be
            prepared; the error names its plugin, and ``details['stage']`` its index. Nothing is left open.
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
        limits = StoreLimits(
            memory_bytes=self._settings.max_memory_bytes, instances=_INSTANCES, tables=_INSTANCES, memories=_INSTANCES
        )
        self._store = GuestStore(engine, limits, label="hot path")
        try:
            numbers = index_of if index_of is not None else range(len(stages))
            self._stages: list[LiveStage] = []
            for index, stage in zip(numbers, stages, strict=True):
                self._stages.append(self._open(index, stage))
            self._fade_frames = max(1, round(self._settings.fade_ms * sample_rate / 1000))
            self._ticks = engine.ticks(self._settings.process_deadline)
            self._batches = 0
            self._fused: dict[tuple[int, int], Sample] = {}
            self._wire()
        except BaseException:
            self._store.close()
            raise

    # --- preparing --------------------------------------------------------------------------------------------------

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
                latency=latency,
                input=regions.input,
                output=regions.output,
            ),
            tail=tail,
            config_json=made_from.config_json,
        )

    def _wire(self) -> None:
        """Make bus and conductor for the stages as they are; history on an older bus is lost."""
        self._armed: _Armed | None = None
        shapes = tuple(stage.shape for stage in self._stages)
        block = min((s.instances[0].regions.max_frames for s in self._stages), default=self._settings.block_frames)
        self._block = min(block, self._settings.block_frames)
        self._layout = BusLayout(shapes, batch_frames=self._settings.batch_frames, block_frames=self._block)
        engine, deadline = self._store.engine, self._settings.instantiate_deadline
        self._bus_instance = CoreInstance(
            self._store, compile_trusted(engine, bus_module(self._layout.pages)), deadline=deadline
        )
        memory = self._bus_instance.memory("bus")
        raw = memory.array(np.uint8, 0, memory.size())
        self._control = raw[:64].view(np.uint32)
        self._views = [
            StageViews(raw, shape, self._layout, where)
            for shape, where in zip(shapes, self._layout.stages, strict=True)
        ]
        self._conductor = compile_trusted(engine, conductor_module(shapes, self._layout))
        self._outputs = [np.empty_like(views.samples) for views in self._views]
        for stage, views in zip(self._stages, self._views, strict=True):
            views.set_bypassed(stage.bypassed)
        self._bind()

    def _bind(self) -> None:
        """Give the conductor the stages' present instances."""
        imports = {("bus", "memory"): self._bus_instance.raw_export("bus")}
        for position, (stage, views) in enumerate(zip(self._stages, self._views, strict=True)):
            views.set_instances(stage.instances)
            for number, hot in enumerate(stage.instances):
                module = f"s{position}i{number}"
                imports[module, "memory"] = hot.instance.raw_export(hot.spec.memory_export)
                imports[module, "process"] = hot.instance.raw_export(hot.spec.process_export)
        conductor = CoreInstance(self._store, self._conductor, imports, deadline=self._settings.instantiate_deadline)
        self._run = conductor.call("run", "hot.process")
        self._args = self._run.args
        self._special = any(stage.special for stage in self._stages)

    # --- processing -------------------------------------------------------------------------------------------------

    @property
    def stages(self) -> int:
        """How many stages there are."""
        return len(self._stages)

    def latency(self, first: int = 0, end: int | None = None) -> Frames:
        """Frames that the output of these stages lags their input."""
        return Frames(sum(stage.shape.latency for stage in self._stages[first:end]))

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
        """
        end = len(self._stages) if end is None else end
        armed = self._armed
        if armed is not None and armed.shape == block.shape and armed.first == first and armed.end == end:
            # The hot road: nothing fades, nobody is timed, and every argument is in place. The first is the position,
            # and its slot takes the result: both are 0 as long as all is well.
            armed.part[...] = block
            armed.calls += 1
            try:
                self._run(self._ticks)
            except (GuestTrap, CallDeadline) as error:
                self._recover(error, first, end, len(block))
            else:
                if self._args[0]:
                    self._recover(Fault(int(self._control[layout.FAULT // 4])), first, end, len(block))
                elif armed.calls == self._settings.time_every:
                    self._disarm()
            # Copied out, since a view of guest memory would crash the process once the Store is closed.
            armed.out[...] = armed.part
            return armed.out
        return self._process(block, first, end)

    def _recover(self, fault: Fault | StellatuneError, first: int, end: int, frames: int) -> None:
        """A fault on the hot road: go on by the plain one."""
        self._disarm(running=1)
        self._after(fault, first, end, frames)
        self._advance(first, end, frames)

    def _process(self, block: Block, first: int, end: int) -> Block:
        """The road for the first call of a kind, and for all that is not plain."""
        if self._store.closed:
            raise StoreMisuse("the chain was closed")
        if first == end:
            return block
        self._disarm()
        samples = self._views[first].samples
        frames, capacity = len(block), len(samples)
        if block.ndim != 2 or block.shape[1] != samples.shape[1]:
            raise ValueInvalid(f"a block of shape {block.shape} is not (frames, {samples.shape[1]})")
        if frames <= capacity:
            part, out = samples[:frames], self._outputs[first][:frames]
            part[...] = block
            self._batch(first, end, frames)
            out[...] = part
            if frames and not self._special and self._batches % 2 == 0:
                self._arm(_Armed(first, end, block.shape, part, out))
            return out
        whole = np.empty_like(block, np.float32)
        for start in range(0, frames, capacity):
            part = samples[: min(capacity, frames - start)]
            part[...] = block[start : start + capacity]
            self._batch(first, end, len(part))
            whole[start : start + len(part)] = part
        return whole

    def _arm(self, armed: _Armed) -> None:
        """Leave the arguments of a call in place for the next one."""
        self._prepare(0, armed.first, armed.first, armed.end, armed.shape[0])
        self._armed = armed

    def _disarm(self, running: int = 0) -> None:
        """Back to the plain road; the stages' clocks are set, but for calls that are still at work."""
        armed, self._armed = self._armed, None
        if armed is not None:
            self._advance(armed.first, armed.end, (armed.calls - running) * armed.shape[0])

    def _advance(self, first: int, end: int, frames: int) -> None:
        for stage in self._stages[first:end]:
            stage.clock += frames

    def _batch(self, first: int, end: int, frames: int) -> None:
        """Everything that is on the bus, through some stages. Some batches are timed, stage by stage or as a whole."""
        self._batches += 1
        if self._special:
            self._dispatch(first, end, 0, frames)
        elif self._batches % 2:
            for k in range(first, end):
                start = time.perf_counter_ns()
                self._dispatch(k, k + 1, 0, frames)
                self._stages[k].timed.add(time.perf_counter_ns() - start, frames)
        else:
            start = time.perf_counter_ns()
            self._conduct(first, end, 0, frames)
            self._fused.setdefault((first, end), Sample()).add(time.perf_counter_ns() - start, frames)
        self._advance(first, end, frames)

    def _seconds(self) -> list[float]:
        """Each stage's time, as far as its batches were timed, for all its frames.

        Batches that are timed stage by stage take longer than fused ones, so their times only share out the latter's.
        """
        seconds = [stage.timed.per_frame * stage.clock / 1e9 for stage in self._stages]
        for (first, end), fused in self._fused.items():
            apart = sum(stage.timed.per_frame for stage in self._stages[first:end])
            if apart:
                seconds[first:end] = [each * fused.per_frame / apart for each in seconds[first:end]]
        return seconds

    def _dispatch(self, first: int, end: int, position: int, total: int) -> None:
        """Frames ``position`` to ``total`` through some stages, those that fade one by one."""
        while position < total:
            self._take_back(first, end, position)
            fades = {k: fade for k in range(first, end) if (fade := self._stages[k].fade) is not None}
            if not fades:
                upto = min([total, *self._returns(first, end)])
                self._conduct(first, end, position, upto)
                position = upto
                continue
            upto = min(total, position + self._block, *(position + fade.left for fade in fades.values()))
            at = first
            for k, fade in fades.items():
                self._conduct(at, k, position, upto)
                self._conduct_faded(k, fade, position, upto)
                at = k + 1
            self._conduct(at, end, position, upto)
            position = upto

    def _returns(self, first: int, end: int) -> list[int]:
        """Positions in this batch at which bypassed stages come back."""
        stages = self._stages[first:end]
        return [stage.return_at - stage.clock for stage in stages if stage.return_at is not None]

    def _conduct(self, first: int, end: int, position: int, total: int, stage: int | None = None) -> None:
        """Frames through some stages, whatever happens on the way; the first block from ``stage`` on."""
        if position < total and first < end:
            fault = self._call(position, first if stage is None else stage, first, end, total)
            if fault is not None:
                self._after(fault, first, end, total)

    def _after(self, fault: Fault | StellatuneError, first: int, end: int, total: int) -> None:
        """Deal with a fault, and go on from there."""
        while True:
            position, count = int(self._control[layout.POSITION // 4]), int(self._control[layout.BLOCK // 4])
            stage = self._answer(fault, position, count)
            if self._special and position + count < total:
                self._conduct(first, end, position, position + count, stage)
                self._dispatch(first, end, position + count, total)
                return
            next_fault = self._call(position, stage, first, end, total)
            if next_fault is None:
                return
            fault = next_fault

    def _prepare(self, position: int, stage: int, first: int, end: int, total: int) -> None:
        """Put the conductor's arguments in place."""
        args = self._args
        args[0], args[2], args[4], args[6] = position, stage, first, end
        args[8], args[10], args[12] = self._block, total, self._stages[first].shape.stride

    def _call(self, position: int, stage: int, first: int, end: int, total: int) -> Fault | StellatuneError | None:
        self._prepare(position, stage, first, end, total)
        try:
            self._run(self._ticks)
        except (GuestTrap, CallDeadline) as error:
            return error
        return Fault(int(self._control[layout.FAULT // 4])) if self._args[0] & 0xFFFF_FFFF else None

    def _conduct_faded(self, k: int, fade: Fade, position: int, upto: int) -> None:
        """At most a block through one stage that fades."""
        stage, views = self._stages[k], self._views[k]
        block = views.samples[position:upto]
        dry = views.delayed(block)
        self._conduct(k, k + 1, position, upto)
        if stage.fade is fade:  # otherwise the stage failed just now, and what the block needed was done
            fade.apply(block, dry)
        views.last[:] = block[-1]
        if stage.fade is not None and stage.fade.left <= 0:
            self._faded(k, upto)

    def _faded(self, k: int, position: int) -> None:
        """A fade is over."""
        stage = self._stages[k]
        fade, stage.fade = stage.fade, None
        if fade is not None and fade.kind is FadeKind.OUT:
            if stage.then_replace:
                stage.then_replace = False
                self._replace(k, position)
            else:
                self._set_bypassed(k, bypassed=True)
        self._note_special()

    def _note_special(self) -> None:
        self._special = any(stage.special for stage in self._stages)

    def _set_bypassed(self, k: int, *, bypassed: bool) -> None:
        self._stages[k].bypassed = bypassed
        self._views[k].set_bypassed(bypassed)

    # --- faults -----------------------------------------------------------------------------------------------------

    def _answer(self, fault: Fault | StellatuneError, position: int, count: int) -> int:
        """Deal with a fault in one block; gives the stage from which the block goes on."""
        k, done = int(self._control[layout.STAGE // 4]), int(self._control[layout.DONE // 4])
        block = self._views[k].samples[position : position + count]
        if fault is Fault.INPUT:
            np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            return k
        if fault is Fault.NEED_RESET:
            self._reset_stage(k, position + count)
            return done
        if done > k:  # the deadline came between two stages: the block is behind stage k, which took the time
            self._crash(k, self._error(fault, k), position + count)
            return done
        if fault is Fault.NOT_FINITE:
            self._silence(k, position, block)
            return k + 1
        error = self._error(fault, k)
        self._go_round(k, block)
        if isinstance(error, StageFailed):
            self._strike(k, error, position, count)
        else:
            self._crash(k, error, position)
            self._settle(k, block)
        return k + 1

    def _error(self, fault: Fault | StellatuneError, k: int) -> StellatuneError:
        value = int(self._control[layout.VALUE // 4])
        if isinstance(fault, StellatuneError):
            error = fault
        elif fault is Fault.CODE:
            error = StageFailed(f"process answered {abi.ErrorCode.describe(value)}", code_number=value)
        elif fault is Fault.FRAMES:
            error = GuestContract(f"process claims {value} frames instead of those it was given")
        elif fault is Fault.FLAGS and value & abi.ProcessFlag.SOFT_ERROR and value < 2 * abi.ProcessFlag.SOFT_ERROR:
            error = StageFailed("process reports a soft error")
        elif fault is Fault.FLAGS:
            error = GuestContract(f"process reports unknown flags {value:#x}")
        elif fault is Fault.GREW:
            error = GuestContract("process grew its memory")
        else:
            error = GuestContract("samples are NaN or infinite")
        return self._stages[k].made_from.blame(error, "hot.process")

    def _go_round(self, k: int, block: Block) -> None:
        """Do for this block what the conductor does for a bypassed stage."""
        views = self._views[k]
        dry = views.delayed(block)
        views.push_history(block)
        block[...] = dry

    def _settle(self, k: int, block: Block) -> None:
        """Ramp from the stage's last output to the dry block."""
        fade = self._stages[k].fade
        if fade is not None and fade.kind is FadeKind.SETTLE:
            head = block[: fade.left]
            fade.apply(head, head)
            self._views[k].last[:] = block[-1]
            if fade.left <= 0:
                self._faded(k, 0)

    def _silence(self, k: int, position: int, block: Block) -> None:
        stage, views = self._stages[k], self._views[k]
        views.push_history(block.copy())
        block[...] = 0
        views.last[:] = 0
        stage.silenced += 1
        self._events.emit(
            StageSilenced(
                plugin=stage.made_from.plugin,
                stage=stage.index,
                at_frame=stage.clock + position,
                frames=len(block),
            )
        )
        self._strike(k, self._error(Fault.NOT_FINITE, k), position, len(block))

    def _strike(self, k: int, error: StellatuneError, position: int, count: int) -> None:
        """A bad block of a stage that still lives."""
        stage = self._stages[k]
        if stage.policy.strike(stage.clock + position, count):
            self._crash(k, error, position)
        else:
            self._reset_stage(k, position)

    def _reset_stage(self, k: int, position: int) -> None:
        stage = self._stages[k]
        try:
            for instance in stage.instances:
                instance.reset()
        except StellatuneError as error:
            self._crash(k, stage.made_from.blame(error, "hot.reset"), position)

    def _crash(self, k: int, error: StellatuneError, position: int) -> None:
        """Take a stage out whose instances must not be called again, and plan its return."""
        stage, frame = self._stages[k], self._stages[k].clock + position
        stage.dead = True
        self._set_bypassed(k, bypassed=True)
        stage.fade = Fade(FadeKind.SETTLE, self._fade_frames, last=self._views[k].last.copy())
        stage.then_replace = False
        stage.return_at = None if stage.held_out else stage.policy.return_at(frame + self._fade_frames)
        stage.bypasses.append(Bypass(at_frame=frame, code=error.code, reason=error.message))
        self._note_special()
        made_from = stage.made_from
        if isinstance(error, CallDeadline):
            self._events.emit(
                CallDeadlineExceeded(
                    plugin=made_from.plugin,
                    component=made_from.component,
                    operation=error.operation or "hot.process",
                    seconds=self._settings.process_deadline,
                )
            )
        elif isinstance(error, GuestTrap):
            self._events.emit(
                GuestTrapped(
                    plugin=made_from.plugin,
                    component=made_from.component,
                    operation=error.operation or "hot.process",
                    trap=str(error.details.get("trap", "")),
                )
            )
        self._events.emit(
            StageBypassed(
                plugin=made_from.plugin, stage=stage.index, at_frame=frame, code=error.code, reason=error.message
            )
        )

    # --- coming back ------------------------------------------------------------------------------------------------

    def _take_back(self, first: int, end: int, position: int) -> None:
        for k in range(first, end):
            stage = self._stages[k]
            if stage.return_at is not None and stage.clock + position >= stage.return_at:
                self._replace(k, position)

    def _replace(self, k: int, position: int) -> None:
        """Put a fresh instance in a stage's place and fade it in; where that fails, plan the next attempt."""
        stage = self._stages[k]
        start = time.perf_counter()
        stage.return_at = None
        frame = stage.clock + position
        try:
            instances = stage.fresh().open(self._store, sample_rate=self._rate, settings=self._settings)
            if common_latency(instances, self._rate) != stage.shape.latency:
                raise GuestContract("a fresh instance reports another latency", operation="hot.latency")
        except StellatuneError as error:
            self._crash(k, stage.made_from.blame(error, "hot.replace"), position)
            stage.fade = None
            self._note_special()
            return
        stage.instances, stage.dead = instances, False
        stage.fade = Fade(FadeKind.IN, self._fade_frames, hold=stage.shape.latency)
        self._set_bypassed(k, bypassed=False)
        self._bind()
        if stage.bypasses and stage.bypasses[-1].until_frame is None:
            stage.bypasses[-1] = msgspec.structs.replace(stage.bypasses[-1], until_frame=frame)
        self._events.emit(
            StageRecovered(
                plugin=stage.made_from.plugin, stage=stage.index, at_frame=frame, seconds=time.perf_counter() - start
            )
        )

    # --- control ----------------------------------------------------------------------------------------------------

    def bypass(self, k: int) -> None:
        """Fade a stage out; the music goes round it, as late as before."""
        self._disarm()
        stage = self._stages[k]
        stage.held_out, stage.return_at, stage.then_replace = True, None, False
        if not stage.bypassed:
            stage.fade = Fade(FadeKind.OUT, self._fade_frames)
        self._note_special()

    def engage(self, k: int) -> None:
        """Fade a stage in again, as a fresh instance where the old one is dead."""
        self._disarm()
        stage = self._stages[k]
        stage.held_out = False
        if stage.dead:
            self._replace(k, 0)
        elif stage.bypassed or stage.fade is not None:
            if stage.bypassed:
                self._reset_stage(k, 0)
            if not stage.dead:
                self._set_bypassed(k, bypassed=False)
                stage.fade = Fade(FadeKind.IN, self._fade_frames, hold=stage.shape.latency)
        self._note_special()

    def replace(self, k: int) -> None:
        """Fade a stage out and a fresh instance of it in."""
        self._disarm()
        stage = self._stages[k]
        if stage.bypassed:
            self._replace(k, 0)
        else:
            stage.fade, stage.then_replace = Fade(FadeKind.OUT, self._fade_frames), True
        self._note_special()

    def configure(self, k: int, config_json: str) -> None:
        """Give a stage another effective configuration, without stopping.

        A module that cannot take it while it runs gets a fresh instance, faded in.

        Raises:
            ConfigRejected: the module refused; the old configuration is still in force.
            GuestTrap, CallDeadline: it crashed over it; the stage is bypassed and comes back with the old one.
        """
        self._disarm()
        stage = self._stages[k]
        if not stage.instances[0].takes_config:
            stage.config_json = config_json
            self.replace(k)
            return
        if stage.dead:
            stage.config_json = config_json
            return
        try:
            for instance in stage.instances:
                instance.configure(config_json)
            latency = common_latency(stage.instances, self._rate)
            stage.tail = longest_tail(stage.instances, self._rate)
        except ConfigRejected as error:
            raise stage.made_from.blame(error, "hot.config") from error.__cause__
        except StellatuneError as error:
            self._crash(k, stage.made_from.blame(error, "hot.config"), 0)
            raise
        stage.config_json = config_json
        if latency != stage.shape.latency:
            stage.shape = msgspec.structs.replace(stage.shape, latency=latency)
            self._wire()
        self._views[k].set_instances(stage.instances)

    def reset(self) -> None:
        """Forget all sound that is still in the stages, as after a seek."""
        self._disarm()
        for k, (stage, views) in enumerate(zip(self._stages, self._views, strict=True)):
            views.last[:] = 0
            views.history[:] = 0
            if not stage.dead:
                self._reset_stage(k, 0)

    # --- reporting and the end --------------------------------------------------------------------------------------

    def reports(self) -> tuple[StageReport, ...]:
        """Every stage's work so far."""
        self._disarm()
        return tuple(
            StageReport(
                index=stage.index,
                plugin=stage.made_from.plugin,
                type_id=stage.made_from.type_id,
                runtime=RuntimeKind.WASM,
                path=StagePath.HOT,
                seconds=seconds,
                frames=stage.clock,
                latency=Frames(stage.shape.latency),
                tail=stage.tail,
                mapping=stage.shape.mapping.value,
                silenced_blocks=stage.silenced,
                bypasses=tuple(stage.bypasses),
            )
            for stage, seconds in zip(self._stages, self._seconds(), strict=True)
        )

    def close(self) -> None:
        """Let every living guest end its context, then free the Store. May be called again."""
        if self._store.closed:
            return
        for stage in self._stages:
            if stage.dead:
                continue
            for instance in stage.instances:
                try:
                    instance.drop()
                except StellatuneError as error:
                    blamed = stage.made_from.blame(error, "hot.drop")
                    self._events.emit(
                        PluginFailed(
                            plugin=blamed.plugin, operation="hot.drop", code=blamed.code, message=blamed.message
                        )
                    )
                    break
        self._armed = None
        self._views.clear()
        del self._control
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
