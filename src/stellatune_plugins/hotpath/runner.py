"""One batch through some stages, whatever happens on the way."""

from __future__ import annotations

import time
from typing import Final

import msgspec
import numpy as np

from stellatune_plugins.contract import hot_path_abi as abi
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import (
    CallDeadline,
    GuestContract,
    GuestTrap,
    InstantiateFailed,
    StageFailed,
    StellatuneError,
)
from stellatune_plugins.hotpath import layout
from stellatune_plugins.hotpath.layout import Fault
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.hotpath.stage import LiveStage, common_latency
from stellatune_plugins.hotpath.wiring import Wiring
from stellatune_plugins.model import Block, Bypass
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import (
    CallDeadlineExceeded,
    GuestTrapped,
    StageBypassed,
    StageRecovered,
    StageSilenced,
)

_PATIENCE: Final = 3
"""Deadlines in a row without a stage at work before the next one is taken out, so that there is an end."""

_LOW: Final = 0xFFFF_FFFF


class BatchRunner:
    """Takes what lies on the bus through stages. Owns every decision that the conductor leaves to the host.

    Args:
        store: where the stages live.
        stages: in order.
        wiring: their bus and conductor.
        sample_rate: hertz.
        settings: limits and times.
        events: where events go.
    """

    def __init__(
        self,
        store: GuestStore,
        stages: list[LiveStage],
        wiring: Wiring,
        *,
        sample_rate: int,
        settings: HotPathSettings,
        events: EventBus,
    ) -> None:
        self._store = store
        self._stages = stages
        self.wiring = wiring
        self._rate = sample_rate
        self._settings = settings
        self._events = events
        self.process_deadline = settings.process_deadline
        self.time_every = settings.time_every
        self.prepared_for: object = None
        """Whose arguments are in place for the next call; ``None`` for nobody's."""
        self._ticks = store.engine.ticks(settings.process_deadline)
        self._opened = sum(len(stage.instances) for stage in stages)
        self._mixing: int | None = None
        """The stage whose block is mixed by :meth:`_conduct_mixed`, so nobody else does."""
        self._silent = False
        """Its block is silent and stays so."""
        self._emptied = False
        """It was reset, and has to fill up again."""
        self.special = False

    def note_special(self) -> None:
        """Look again whether any stage needs more than the conductor."""
        self.special = any(stage.special for stage in self._stages)

    # --- the way of a batch -----------------------------------------------------------------------------------------

    def run(self, first: int, end: int, frames: int, *, fault: Fault | StellatuneError | None = None) -> None:
        """All frames of a batch through some stages; ``fault`` is what the first call already met."""
        if fault is not None:
            position = self._go_on(fault, first, end, 0, frames, (0, first))
        elif self.special:
            position = 0
        else:
            position = self._conduct(first, end, 0, frames)
        while position < frames:
            position = self._carefully(first, end, position, frames)
        self.finish(first, end, frames)

    def finish(self, first: int, end: int, frames: int) -> None:
        """The batch is over: clocks and dry lines move on."""
        for stage, views in zip(self._stages[first:end], self.wiring.views[first:end], strict=True):
            stage.clock += frames
            views.advance(frames)

    def _carefully(self, first: int, end: int, position: int, total: int) -> int:
        """As far as nothing changes, with stages that fade one by one; gives the position reached."""
        self._take_back(first, end, position)
        moving = [k for k in range(first, end) if self._stages[k].blend.active]
        if not moving:
            waiting = [s.return_at - s.clock for s in self._stages[first:end] if s.return_at is not None]
            return self._conduct(first, end, position, min([total, *waiting]))
        upto = min(total, position + self.wiring.block_frames)
        upto = min(upto, *(position + self._stages[k].blend.left for k in moving))
        at = first
        for k in moving:
            self._conduct_whole(at, k, position, upto)
            self._conduct_mixed(k, position, upto)
            at = k + 1
        self._conduct_whole(at, end, position, upto)
        return upto

    def _conduct_whole(self, first: int, end: int, position: int, total: int) -> None:
        while first < end and position < total:
            position = self._conduct(first, end, position, total)

    def _conduct(self, first: int, end: int, position: int, total: int) -> int:
        """Frames through some stages. Gives the position reached: less than ``total`` where a stage began to fade."""
        fault = self._call(position, first, first, end, total)
        return total if fault is None else self._go_on(fault, first, end, position, total, (position, first))

    def _go_on(
        self,
        fault: Fault | StellatuneError,
        first: int,
        end: int,
        position: int,
        total: int,
        begun: tuple[int, int],
    ) -> int:
        """Deal with a fault, finish the block that it came in, and go on as long as nothing begins to fade.

        ``begun`` is where the call that met the fault began: position and stage.
        """
        next_fault: Fault | StellatuneError | None = fault
        impatience = 0
        while next_fault is not None:
            place = self._where(next_fault, first, end, begun, total, impatience)
            impatience = impatience + 1 if place.idle else 0
            position, stage = place.position, place.stage
            block_end = min(position + place.frames, total)
            if stage >= end:
                position, stage = block_end, first
                if self.special or position >= total:
                    return position
            begun = (position, stage)
            next_fault = self._call(position, stage, first, end, block_end if self.special else total)
            if next_fault is None and self.special:
                return block_end
        return total

    class _Place(msgspec.Struct, frozen=True):
        """Where to go on after a fault; ``idle`` where no stage was at work."""

        position: int
        stage: int
        frames: int
        idle: bool = False

    def _where(
        self,
        fault: Fault | StellatuneError,
        first: int,
        end: int,
        begun: tuple[int, int],
        total: int,
        impatience: int,
    ) -> _Place:
        control = self.wiring.control
        frames = int(control[layout.BLOCK // 4])
        if frames == 0:  # a deadline came before any block was begun; what the words say is of an earlier call
            position, stage = begun
            frames = min(self.wiring.block_frames, total - position)
            if impatience >= _PATIENCE and stage < end and not self._stages[stage].bypassed:
                self._crash(stage, self._error(fault, stage), position)
            return self._Place(position, stage, frames, idle=True)
        position = int(control[layout.POSITION // 4])
        at, done = int(control[layout.STAGE // 4]), int(control[layout.DONE // 4])
        control[layout.BLOCK // 4] = 0
        if isinstance(fault, StellatuneError) and (at == layout.NOBODY or done > at):
            if impatience >= _PATIENCE and done < end and not self._stages[done].bypassed:
                self._crash(done, self._error(fault, done), position)
            return self._Place(position, done, frames, idle=True)
        stage = first if at == layout.NOBODY else at
        return self._Place(position, self._answer(fault, stage, position, frames), frames)

    def _call(self, position: int, stage: int, first: int, end: int, total: int) -> Fault | StellatuneError | None:
        run = self.wiring.run
        self.prepared_for = None
        self.prepare(position, stage, first, end, total)
        try:
            run(self._ticks)
        except (GuestTrap, CallDeadline) as error:
            return error
        return self.fault() if run.args[0] & _LOW else None

    def prepare(self, position: int, stage: int, first: int, end: int, total: int) -> None:
        """Put the conductor's arguments in place."""
        args = self.wiring.run.args
        args[0], args[2], args[4], args[6] = position, stage, first, end
        args[8], args[10], args[12] = self.wiring.block_frames, total, self._stages[first].shape.stride

    def fault(self) -> Fault:
        """What the conductor stopped for."""
        return Fault(int(self.wiring.control[layout.FAULT // 4]))

    def _conduct_mixed(self, k: int, position: int, upto: int) -> None:
        """At most a block through one stage that fades."""
        views, blend = self.wiring.views[k], self._stages[k].blend
        block = views.samples[position:upto]
        given = block.copy()
        self._mixing, self._silent, self._emptied = k, False, False
        try:
            self._conduct_whole(k, k + 1, position, upto)
        finally:
            self._mixing = None
        if not self._silent:
            late = views.dry(position, upto)
            dry = given if late is None else late
            blend.apply(block, dry)
            views.heard(block[-1], dry[-1])
        if self._emptied:
            self._refill(k)
        self.rest(k, upto)

    def rest(self, k: int, position: int = 0) -> None:
        """A stage that has faded out is bypassed, or renewed."""
        stage = self._stages[k]
        if not stage.blend.active and stage.blend.gain == 0.0 and not stage.bypassed:
            if stage.renew and not stage.held_out:
                self.replace(k, position)
            else:
                self._set_bypassed(k, bypassed=True)
        self.note_special()

    def _set_bypassed(self, k: int, *, bypassed: bool) -> None:
        self._stages[k].bypassed = bypassed
        self.wiring.views[k].set_bypassed(bypassed)

    # --- faults -----------------------------------------------------------------------------------------------------

    def _answer(self, fault: Fault | StellatuneError, k: int, position: int, frames: int) -> int:
        """Deal with a fault of a block; gives the stage from which the block goes on."""
        views = self.wiring.views[k]
        block = views.samples[position : position + frames]
        if fault is Fault.INPUT:
            np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            return k
        if fault is Fault.NEED_RESET:
            asked = int(self.wiring.resets[layout.RESETS // 8])
            self._reset(k, position + frames, asked)
            return k + 1
        if fault is Fault.NOT_FINITE:
            self._silence(k, position, block)
            return k + 1
        error = self._error(fault, k)
        late = self._go_round(k, position, block)
        alone = self._mixing is None  # otherwise the block is mixed by whoever conducted it
        if alone:
            self._mixing, self._emptied = k, False
        if isinstance(error, StageFailed):
            self._strike(k, error, position, frames)
        else:
            self._crash(k, error, position)
        if alone:
            self._mixing = None
            self._stages[k].blend.apply(block, late)
            views.heard(block[-1], late[-1])
            if self._emptied:
                self._refill(k)
            self.note_special()
        return k + 1

    def _error(self, fault: Fault | StellatuneError, k: int) -> StellatuneError:
        value = int(self.wiring.control[layout.VALUE // 4])
        if isinstance(fault, StellatuneError):
            error = fault
        elif fault is Fault.CODE:
            error = StageFailed(f"process answered {abi.ErrorCode.describe(value)}", code_number=value)
        elif fault is Fault.FRAMES:
            error = GuestContract(f"process claims {value} frames instead of those it was given")
        elif fault is Fault.FLAGS and value < 2 * abi.ProcessFlag.SOFT_ERROR:
            error = StageFailed("process reports a soft error")
        elif fault is Fault.FLAGS:
            error = GuestContract(f"process reports unknown flags {value:#x}")
        elif fault is Fault.GREW:
            error = GuestContract("process grew its memory")
        else:
            error = GuestContract("samples are NaN or infinite")
        return self._stages[k].made_from.blame(error, "hot.process")

    def _go_round(self, k: int, position: int, block: Block) -> Block:
        """Do for this block what the conductor does for a bypassed stage; gives a copy of the dry signal."""
        views = self.wiring.views[k]
        views.write_dry(position, block)
        late = views.dry(position, position + len(block))
        if late is not None:
            block[...] = late
        return block.copy()

    def _silence(self, k: int, position: int, block: Block) -> None:
        stage, views = self._stages[k], self.wiring.views[k]
        views.write_dry(position, block)
        late = views.dry(position, position + len(block))
        dry = (block if late is None else late)[-1].copy()
        block[...] = 0
        views.heard(block[-1], dry)
        self._silent = True
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

    def _strike(self, k: int, error: StellatuneError, position: int, frames: int) -> None:
        """A bad block of a stage that still lives."""
        stage = self._stages[k]
        if stage.policy.strike(stage.clock + position, frames):
            self._crash(k, error, position)
            return
        if isinstance(error, StageFailed):
            self._cut(k)
        self._reset(k, position, (1 << len(stage.instances)) - 1)

    def _cut(self, k: int) -> None:
        """To the dry signal, from whatever was heard last."""
        views = self.wiring.views[k]
        self._stages[k].blend.cut(views.last, views.last_dry)
        self.note_special()

    def _reset(self, k: int, position: int, which: int) -> None:
        """Clear the sound of some instances."""
        self.reset(k, position, which)
        if self._mixing == k:
            self._emptied = True  # not before this block is mixed as it came
        else:
            self._refill(k)

    def _refill(self, k: int) -> None:
        """A stage with latency is silent until it has filled up again, so it fades in, as one does that was cut."""
        stage = self._stages[k]
        if stage.dead or stage.bypassed or stage.held_out:
            return
        if stage.latency:
            self._cut(k)
        if stage.latency or stage.blend.target == 0.0:
            stage.blend.fade_in(stage.latency)
        self.note_special()

    def reset(self, k: int, position: int = 0, which: int = -1) -> None:
        """Call ``reset`` of some of a stage's instances; one that crashes over it is taken out."""
        stage = self._stages[k]
        try:
            for number, instance in enumerate(stage.instances):
                if which >> number & 1:
                    instance.reset()
            self.wiring.views[k].set_instances(stage.instances)  # it may have grown, now that it may
        except StellatuneError as error:
            self._crash(k, stage.made_from.blame(error, "hot.reset"), position)

    def _crash(self, k: int, error: StellatuneError, position: int) -> None:
        """Take a stage out whose instances must not be called again, and plan its return."""
        stage, frame = self._stages[k], self._stages[k].clock + position
        stage.dead, stage.renew = True, False
        self._set_bypassed(k, bypassed=True)
        self._cut(k)
        fade = max(1, round(self._settings.fade_ms * self._rate / 1000))
        stage.return_at = None if stage.held_out else stage.policy.return_at(frame + fade)
        stage.bypasses.append(Bypass(at_frame=frame, code=error.code, reason=error.message))
        self.note_special()
        self._tell(stage, error)
        self._events.emit(
            StageBypassed(
                plugin=stage.made_from.plugin,
                stage=stage.index,
                at_frame=frame,
                code=error.code,
                reason=error.message,
            )
        )

    def crash(self, k: int, error: StellatuneError) -> None:
        """Take a stage out that crashed between two batches."""
        self._crash(k, error, 0)

    def _tell(self, stage: LiveStage, error: StellatuneError) -> None:
        plugin, component = stage.made_from.plugin, stage.made_from.component
        operation = error.operation or "hot.process"
        if isinstance(error, CallDeadline):
            seconds = self._settings.process_deadline
            self._events.emit(
                CallDeadlineExceeded(plugin=plugin, component=component, operation=operation, seconds=seconds)
            )
        elif isinstance(error, GuestTrap):
            trap = str(error.details.get("trap", ""))
            self._events.emit(GuestTrapped(plugin=plugin, component=component, operation=operation, trap=trap))

    # --- coming back ------------------------------------------------------------------------------------------------

    def _take_back(self, first: int, end: int, position: int) -> None:
        for k in range(first, end):
            stage = self._stages[k]
            if stage.return_at is not None and stage.clock + position >= stage.return_at:
                self.replace(k, position)

    def replace(self, k: int, position: int = 0) -> None:
        """Put fresh instances in a stage's place and fade them in; where that fails, plan the next attempt."""
        stage = self._stages[k]
        start = time.perf_counter()
        stage.return_at, stage.renew = None, False
        frame = stage.clock + position
        try:
            if self._opened + stage.made_from.count > self._settings.max_instances:
                raise InstantiateFailed(
                    "too many instances were replaced in this chain", hint="make a new chain", limit=True
                )
            self._opened += stage.made_from.count
            instances = stage.fresh().open(self._store, sample_rate=self._rate, settings=self._settings)
            if common_latency(instances, self._rate) != stage.latency:
                raise GuestContract("a fresh instance reports another latency", operation="hot.latency")
            self.wiring.bind([instances if s is stage else s.instances for s in self._stages])
            self.prepared_for = None
        except StellatuneError as error:
            self._crash(k, stage.made_from.blame(error, "hot.replace"), position)
            return
        stage.instances, stage.dead = instances, False
        stage.blend.fade_in(stage.latency)
        self._set_bypassed(k, bypassed=False)
        self.note_special()
        if stage.bypasses and stage.bypasses[-1].until_frame is None:
            stage.bypasses[-1] = msgspec.structs.replace(stage.bypasses[-1], until_frame=frame)
        self._events.emit(
            StageRecovered(
                plugin=stage.made_from.plugin, stage=stage.index, at_frame=frame, seconds=time.perf_counter() - start
            )
        )
