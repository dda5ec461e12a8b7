"""A stage that the host calls keeps a fused stage's promises.

The processors here are plain Python; ``tests/integration`` has the same promises with real components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import (
    ConfigRejected,
    GuestContract,
    GuestTrap,
    InstanceDead,
    NativePluginFailed,
    PluginFailure,
    StageFailed,
    StellatuneError,
)
from stellatune_plugins.hotpath import HotPathSettings, Mapping
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    ConfigUpdateMode,
    ConfigUpdatePlan,
    CoreModuleSpec,
    Frames,
    Layouts,
    RuntimeKind,
)
from stellatune_plugins.observe import EventBus
from stellatune_plugins.session.host_stage import BLOCK_FRAMES, HostStage
from stellatune_plugins.session.stage_journal import StageIdentity

RATE = 48000
FADE = 240


@dataclass
class Halver:
    """Halves, and does what it is told in its n-th call."""

    channels: int = 2
    outputs: int = 2
    late: int = 0
    at: int = -1
    deed: Callable[[Block], Any] | None = None
    answer: Callable[[str], None] | None = None
    mode: ConfigUpdateMode = ConfigUpdateMode.HOT_APPLY
    state: str | None = None
    calls: int = 0
    seen: list[int] = field(default_factory=list)
    closed: bool = False
    held: Block | None = None
    configs: list[str] = field(default_factory=list)

    def process(self, block: Block) -> Any:
        self.calls += 1
        self.seen.append(len(block))
        assert block.shape[1] == self.channels
        if self.late:
            held = np.zeros((self.late, block.shape[1]), np.float32) if self.held is None else self.held
            whole = np.concatenate((held, block))
            block, self.held = whole[: len(block)], whole[len(block) :]
        if self.calls == self.at and self.deed is not None:
            return self.deed(block)
        return block[:, : self.outputs] * np.float32(0.5)

    def supported_layouts(self) -> Layouts:
        return Layouts.ANY

    def output_channels(self) -> int:
        return self.outputs

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:
        return None

    def latency(self) -> Frames:
        return Frames(self.late)

    def tail(self) -> Frames | None:
        return Frames(self.late)

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return ConfigUpdatePlan(self.mode)

    def apply_config(self, config_json: str) -> None:
        if self.answer is not None:
            self.answer(config_json)
        self.configs.append(config_json)

    def export_state(self) -> str | None:
        return self.state

    def import_state(self, state_json: str) -> None:
        self.configs.append(state_json)

    def close(self) -> None:
        self.closed = True


def stage(
    *made: Halver,
    channels: int = 2,
    mapping: Mapping = Mapping.DIRECT,
    bus: EventBus | None = None,
    per: int = 1,
    runtime: RuntimeKind = RuntimeKind.NATIVE,
    **settings: Any,
) -> HostStage:
    """A stage whose processors are made in this order."""
    rest = list(made)

    def make() -> list[Halver]:
        if len(rest) < per:
            raise GuestTrap("none left")
        return [rest.pop(0) for _ in range(per)]

    return HostStage(
        StageIdentity(3, "test.halver", "halver", runtime),
        make,
        spec=AudioSpec(RATE, channels),  # type: ignore[arg-type]
        mapping=mapping,
        bus=bus or EventBus(),
        settings=HotPathSettings(**{"replacement_pauses": (0.0,)} | settings),
        config_json="old",
    )


def play(made: HostStage, *sizes: int) -> Block:
    """What becomes of a constant, in blocks of these sizes."""
    return np.concatenate([made.process(np.ones((size, 2), np.float32)) for size in sizes])


def steepest(*parts: Block) -> float:
    """The largest step from frame to frame, in slopes of a whole fade from 1 to 0.5."""
    return float(np.abs(np.diff(np.concatenate(parts), axis=0)).max() / (0.5 / FADE))


SMOOTH = 1.01
"""Steps of a fade, and rounding."""


def noise(frames: int, channels: int = 2) -> Block:
    """Samples that are never zero."""
    return np.random.default_rng(3).uniform(0.1, 0.2, (frames, channels)).astype(np.float32)


def trap(_: Block) -> Block:
    """Crash."""
    raise GuestTrap("trapped")


def test_blocks_are_cut() -> None:
    """No call carries more than the component path can bear."""
    halver = Halver()
    x = noise(2 * BLOCK_FRAMES + 5)
    assert np.array_equal(stage(halver).process(x), x * np.float32(0.5))
    assert halver.seen == [BLOCK_FRAMES, BLOCK_FRAMES, 5]


def test_a_crash_bypasses_and_comes_back() -> None:
    """Dry while it is out, and a fresh processor is faded in; the old one is closed."""
    bus = EventBus()
    first, second = Halver(at=2, deed=trap), Halver()
    made = stage(first, second, bus=bus)
    x = noise(1000)
    with bus.recording() as events:
        outs = [made.process(x).copy() for _ in range(5)]
    assert np.array_equal(outs[1][FADE:], x[FADE:])
    assert np.array_equal(outs[4], x * np.float32(0.5))
    assert first.closed
    assert [event.name for event in events] == ["stage.bypassed", "stage.recovered"]
    (bypass,) = made.report().bypasses
    assert (bypass.at_frame, bypass.code, bypass.until_frame) == (1000, "guest-trap", 2000)


def test_a_crash_does_not_click() -> None:
    """On a constant signal no step is larger than a fade's slope."""
    x = np.ones((500, 2), np.float32)
    made = stage(Halver(at=3, deed=trap), Halver())
    y = np.concatenate([made.process(x) for _ in range(8)])
    assert np.abs(np.diff(y, axis=0)).max() <= 0.5 / FADE + 1e-6


def test_a_late_stage_stays_aligned_while_it_is_out() -> None:
    """The dry signal is as late as the stage was."""
    made = stage(Halver(late=100, at=2, deed=trap), Halver(late=100, at=1, deed=trap))
    x = noise(4000)
    parts = [made.process(part).copy() for part in np.split(x, 4)]
    assert np.array_equal(np.concatenate(parts)[3000:], x[2900:3900])


def refuse(_: Block) -> Block:
    """Answer with an error."""
    raise PluginFailure("internal", "not today")


@pytest.mark.parametrize(
    ("deed", "zeros"),
    [(refuse, False), (lambda block: block * np.float32(np.nan), True), (lambda block: block / np.float32(0), True)],
)
def test_one_bad_block_costs_one_block(deed: Callable[[Block], Block], zeros: bool) -> None:
    """An error leaves the block dry, NaN and infinity make it silent; the next is as ever."""
    x = noise(100)
    made = stage(Halver(at=1, deed=deed))
    with np.errstate(divide="ignore"):
        first = made.process(x)
    assert np.array_equal(first, np.zeros_like(x) if zeros else x)
    assert np.array_equal(made.process(x), x * np.float32(0.5))
    assert made.report().silenced_blocks == zeros


def test_a_wrong_number_of_frames_is_a_breach() -> None:
    """Fewer frames than were given are not believed."""
    made = stage(Halver(at=1, deed=lambda block: block[:-1]), Halver())
    assert len(made.process(noise(1000))) == 1000
    assert made.report().bypasses[0].code == "guest-contract"


def test_per_channel_needs_all_of_them() -> None:
    """Three mono processors serve three channels."""
    x = noise(100, 3)
    halvers = [Halver(channels=1, outputs=1) for _ in range(3)]
    made = stage(*halvers, channels=3, mapping=Mapping.PER_CHANNEL, per=3)
    assert np.array_equal(made.process(x), x * np.float32(0.5))
    made.close()
    assert all(halver.closed for halver in halvers)


def test_a_front_pair_passes_the_rest_round() -> None:
    """Channels three and up are untouched, and as late."""
    x = noise(1000, 6)
    y = stage(Halver(late=50), channels=6, mapping=Mapping.FRONT_PAIR).process(x)
    assert np.array_equal(y[50:, 2:], x[:-50, 2:])
    assert np.array_equal(y[50:, :2], x[:-50, :2] * np.float32(0.5))


def test_a_stage_may_change_the_channels() -> None:
    """Two in, one out; dry means the first of them."""
    made = stage(Halver(outputs=1, at=2, deed=trap))
    x = noise(1000)
    assert made.process(x).shape == (1000, 1)
    assert np.array_equal(made.process(x)[FADE:, 0], x[FADE:, 0])


def test_what_fails_at_the_end_is_told() -> None:
    """Closing goes on, and the event says whose fault it was."""

    class Stubborn(Halver):
        def close(self) -> None:
            raise StellatuneError("no")

    bus = EventBus()
    with bus.recording() as events:
        stage(Stubborn(), bus=bus).close()
    assert [event.name for event in events] == ["plugin.failed"]


# --- coming and going -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "orders",
    [
        ("bypass", 64, "engage", 64),
        ("bypass", 64, "engage", 32, "bypass", 600, "engage", 64, "bypass"),
        ("bypass", 64, "bypass", 64, "bypass"),
        ("bypass", 600, "engage", 64, "engage", 64, "engage"),
        ("engage", 64, "engage"),
        ("bypass", "engage", "bypass", "engage"),
    ],
)
@pytest.mark.parametrize("late", [0, 50])
def test_orders_in_any_order_do_not_click(orders: tuple[str | int, ...], late: int) -> None:
    """Whatever is asked while a fade is under way, no step is larger than a fade's slope."""
    made = stage(Halver(late=late))
    parts = [play(made, 600)[late:]]
    for order in orders:
        if isinstance(order, int):
            parts.append(play(made, order))
        else:
            getattr(made, order)()
    parts.append(play(made, 600, 600))
    assert steepest(*parts) <= SMOOTH
    assert parts[-1][-1, 0] == (1.0 if orders[-1] == "bypass" else 0.5)


def test_engaging_what_is_heard_changes_nothing() -> None:
    """Not a single sample."""
    made, x = stage(Halver(late=50)), noise(1000)
    first = made.process(x)
    made.engage()
    whole = np.concatenate((first, made.process(x)))
    assert np.array_equal(whole[50:], np.concatenate((x, x))[:-50] * np.float32(0.5))


def test_an_engaged_stage_fills_up_before_it_is_heard() -> None:
    """What it held when it went out is never heard."""
    made = stage(Halver(late=100))
    play(made, 500)
    made.bypass()
    play(made, 500)
    made.process(np.zeros((500, 2), np.float32))
    made.engage()
    assert not made.process(np.zeros((500, 2), np.float32)).any()


def test_a_crash_by_nan_does_not_click_behind_the_silence() -> None:
    """The dry signal rises from it."""
    made = stage(Halver(at=2, deed=lambda block: block * np.float32(np.nan)), strikes=1, replacement_pauses=())
    play(made, 500)
    silence, after = play(made, 500), play(made, 500)
    assert not silence.any()
    assert made.report().bypasses[0].code == "guest-contract"
    assert steepest(silence, after) <= 2 * SMOOTH
    assert (after[FADE:] == 1.0).all()


@pytest.mark.parametrize("late", [0, 50])
def test_a_fresh_processor_that_crashes_at_once_is_not_heard(late: int) -> None:
    """The dry signal goes on, bit for bit."""
    made = stage(Halver(late=late, at=2, deed=trap), Halver(late=late, at=1, deed=trap))
    x = noise(4000)
    y = np.concatenate([made.process(part) for part in np.split(x, 4)])
    assert np.array_equal(y[1000 + FADE :], x[1000 + FADE - late : 4000 - late])
    assert len(made.report().bypasses) == 2


def test_errors_leave_nothing_to_ramp_away() -> None:
    """A stage that is bypassed for its third error was not heard in the blocks of the first two."""
    made, x = stage(Halver(deed=refuse), strikes=3, replacement_pauses=()), noise(900)
    halver = made._group._processors[0]
    assert isinstance(halver, Halver)
    parts = []
    for halver.at, part in enumerate(np.split(x, 9), 1):
        parts.append(made.process(part))
    assert made.report().bypasses[0].at_frame == 200
    assert np.array_equal(np.concatenate(parts), x)


def test_an_early_engage_does_not_add_to_a_crashs_ramp() -> None:
    """Fresh processors are faded in once the old ones' break is ramped away."""
    made = stage(Halver(at=2, deed=trap), Halver(), replacement_pauses=())
    parts = [play(made, 500), play(made, 10)]
    made.engage()
    parts.append(play(made, 1000))
    assert steepest(*parts) <= SMOOTH
    assert parts[-1][-1, 0] == 0.5


# --- what processors may do -----------------------------------------------------------------------------------------


class Mute(Exception):
    """Cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError


def raising(error: Exception) -> Callable[[Block], Block]:
    """A deed."""

    def deed(_: Block) -> Block:
        raise error

    return deed


@pytest.mark.parametrize(
    ("error", "runtime", "code"),
    [
        (ValueError("its own"), RuntimeKind.NATIVE, "native-plugin-failed"),
        (Mute(), RuntimeKind.NATIVE, "native-plugin-failed"),
        (MemoryError(), RuntimeKind.NATIVE, "native-plugin-failed"),
        (GuestTrap("trapped"), RuntimeKind.NATIVE, "guest-trap"),
        (ValueError("the host's"), RuntimeKind.WASM, "internal"),
    ],
)
def test_any_exception_is_a_crash(error: Exception, runtime: RuntimeKind, code: str) -> None:
    """It ends in a bypass, with its type told, and never in the host."""
    made = stage(Halver(at=2, deed=raising(error)), runtime=runtime, replacement_pauses=())
    assert steepest(play(made, 500, 500, 500)) <= SMOOTH
    (bypass,) = made.report().bypasses
    assert bypass.code == code
    assert isinstance(error, StellatuneError) or type(error).__name__ in bypass.reason


RESULTS: dict[str, Callable[[Block], Any]] = {
    "nothing": lambda _: None,
    "a list": lambda block: block.tolist(),
    "bytes": lambda block: block.tobytes(),
    "float64": lambda block: block.astype(np.float64),
    "huge float64": lambda block: np.full(block.shape, 1e300),
    "the other byte order": lambda block: block.astype(">f4"),
    "complex": lambda block: block * 1j,
    "objects": lambda block: block.astype(object),
    "one channel": lambda block: block[:, :1],
    "three channels": lambda block: np.zeros((len(block), 3), np.float32),
    "flat": lambda block: block[:, 0],
    "three axes": lambda block: block[np.newaxis],
    "a scalar": lambda _: np.float32(0.5),
    "one frame": lambda block: block[:1],
    "one frame more": lambda block: np.concatenate((block, block[:1])),
    "none": lambda block: block[:0],
}


@pytest.mark.parametrize("what", RESULTS)
@pytest.mark.parametrize("mapping", [Mapping.DIRECT, Mapping.FRONT_PAIR])
def test_only_exact_blocks_are_taken(what: str, mapping: Mapping) -> None:
    """Nothing is broadcast, converted or cut: it is a breach."""
    channels = 2 if mapping is Mapping.DIRECT else 6
    made = stage(Halver(at=1, deed=RESULTS[what]), channels=channels, mapping=mapping, replacement_pauses=())
    x = noise(500, channels)
    y = made.process(x)
    assert [bypass.code for bypass in made.report().bypasses] == ["guest-contract"]
    assert np.array_equal(y[FADE:], x[FADE:])


def in_place(block: Block) -> Block:
    """Work in the block that was given."""
    block *= np.float32(0.25)
    return block


def in_place_then_fail(block: Block) -> Block:
    """Leave a mess."""
    block[:] = 9.0
    raise StageFailed("no")


@pytest.mark.parametrize(
    ("mapping", "channels", "frames"),
    [
        (Mapping.DIRECT, 2, 100),
        (Mapping.MONO_AS_STEREO, 1, 100),
        (Mapping.FRONT_PAIR, 6, 1),
        (Mapping.FRONT_PAIR, 6, 100),
    ],
)
def test_a_block_is_safe_from_processors_that_work_in_place(mapping: Mapping, channels: int, frames: int) -> None:
    """Neither the caller's block nor the dry signal changes."""
    made = stage(Halver(at=1, deed=in_place), channels=channels, mapping=mapping)
    failing = stage(Halver(at=1, deed=in_place_then_fail), channels=channels, mapping=mapping)
    x = noise(frames, channels)
    kept = x.copy()
    assert np.array_equal(made.process(x)[:, :2], kept[:, :2] * np.float32(0.25))
    assert np.array_equal(x, kept)
    assert np.array_equal(failing.process(x), kept)


def test_a_single_channel_is_safe_too() -> None:
    """One frame's column is contiguous as it is, and yet must be copied."""
    halvers = [Halver(channels=1, outputs=1, at=1, deed=in_place) for _ in range(3)]
    made, x = stage(*halvers, channels=3, mapping=Mapping.PER_CHANNEL, per=3), noise(1, 3)
    kept = x.copy()
    made.process(x)
    assert np.array_equal(x, kept)


def test_a_result_may_be_a_buffer_that_is_used_again() -> None:
    """Even one that all processors of a stage share."""
    shared = np.empty((100, 1), np.float32)

    def into_shared(block: Block) -> Block:
        np.multiply(block, np.float32(0.25), out=shared)
        return shared

    halvers = [Halver(channels=1, outputs=1, at=1, deed=into_shared) for _ in range(3)]
    made, x = stage(*halvers, channels=3, mapping=Mapping.PER_CHANNEL, per=3), noise(100, 3)
    assert np.array_equal(made.process(x), x * np.float32(0.25))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("out", [False, True])
def test_bad_input_is_the_hosts_own(bad: float, out: bool) -> None:
    """It counts as zero, with the stage and without; nobody is blamed, and the caller's block stays."""
    made = stage(Halver())
    if out:
        made.bypass()
        play(made, 500)
    x = noise(100)
    x[40, 1] = bad
    kept, clean = x.copy(), x.copy()
    clean[40, 1] = 0.0
    for _ in range(5):
        assert np.array_equal(made.process(x), clean * np.float32(1.0 if out else 0.5))
    assert np.array_equal(x, kept, equal_nan=True)
    assert not made.report().silenced_blocks
    assert not made.report().bypasses


def test_a_fade_between_extremes_stays_finite() -> None:
    """Samples at the ends of float32 do not add up to infinity."""
    made = stage(Halver(at=2, deed=lambda block: -block * np.float32(1.0)))
    x = np.full((100, 2), 3.4e38, np.float32)
    made.process(x)
    made.bypass()
    assert np.isfinite(made.process(x)).all()


@pytest.mark.parametrize("frames", [0, 1, 3 * BLOCK_FRAMES + 1])
def test_blocks_of_any_size_and_strides(frames: int) -> None:
    """No frames are no call; a view of another array is as good as a block of its own."""
    halver = Halver()
    x = noise(2 * frames, 4)[::2, 1:3]
    y = stage(halver).process(x)
    assert y.shape == (frames, 2)
    assert np.array_equal(y, x * np.float32(0.5))
    assert sum(halver.seen) == frames
    assert all(halver.seen)


class Liar(Halver):
    """Says of itself what it is told to."""

    says: Any = 0
    about: str = "latency"

    def latency(self) -> Any:
        return self.says if self.about == "latency" else 0

    def tail(self) -> Any:
        return self.says if self.about == "tail" else 0

    def output_channels(self) -> Any:
        return self.says if self.about == "width" else 2


@pytest.mark.parametrize("about", ["latency", "tail", "width"])
@pytest.mark.parametrize("says", [-1, 10**12, 1.5, "2", object()])
def test_implausible_words_are_a_breach(about: str, says: Any) -> None:
    """The stage is not made, and its processor is closed."""
    liar = Liar()
    liar.about, liar.says = about, says
    with pytest.raises(GuestContract):
        stage(liar)
    assert liar.closed


# --- fresh processors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [Halver(late=7), Halver(outputs=1)])
def test_a_fresh_processor_must_fit(other: Halver) -> None:
    """Another latency or width would put the stage out of step: that is a crash, and the stranger is closed."""
    made = stage(Halver(at=2, deed=trap), other)
    assert steepest(play(made, 500, 500, 500, 500)) <= SMOOTH
    assert [bypass.code for bypass in made.report().bypasses] == ["guest-trap", "guest-contract"]
    assert other.closed
    assert made.latency() == 0


@pytest.mark.parametrize("other", [Halver(late=7), Halver(outputs=1)])
def test_a_remake_that_does_not_fit_changes_nothing(other: Halver) -> None:
    """The present processor goes on."""
    first = Halver()
    made = stage(first, other)
    play(made, 500)
    with pytest.raises(GuestContract):
        made.remake()
    assert (other.closed, first.closed) == (True, False)
    assert (play(made, 500) == 0.5).all()


def test_a_stage_without_processors_can_still_be_asked() -> None:
    """After a come-back that failed, nothing but the stage's own errors is raised."""
    made = stage(Halver(at=1, deed=trap), replacement_pauses=(0.0, 0.0))
    play(made, 500, 500, 500, 500)
    assert len(made.report().bypasses) == 3
    assert made.plan_config("{}").mode is ConfigUpdateMode.RECREATE
    with pytest.raises(InstanceDead):
        made.apply_config("{}")
    with pytest.raises(GuestTrap):
        made.remake()
    made.engage()
    made.bypass()
    assert (play(made, 500) == 1.0).all()
    made.close()


def test_a_dead_stage_can_be_remade() -> None:
    """A configuration that the user mends brings it back."""
    bus = EventBus()
    made = stage(Halver(at=1, deed=trap), Halver(), bus=bus, replacement_pauses=())
    with bus.recording() as events:
        parts = [play(made, 500)]
        made.remake("new")
        parts.append(play(made, 1000))
    assert [event.name for event in events] == ["stage.bypassed", "stage.recovered"]
    assert made.report().bypasses[0].until_frame == 500
    assert parts[-1][-1, 0] == 0.5


def test_a_remake_does_not_click() -> None:
    """From the old processor over the dry signal to the new one."""
    made = stage(Halver(late=50), Halver(late=50))
    parts = [play(made, 500)[50:]]
    made.remake()
    parts.append(play(made, 1000))
    assert steepest(*parts) <= SMOOTH
    assert parts[-1][-1, 0] == 0.5


def test_a_stage_that_is_held_out_stays_out_when_it_is_remade() -> None:
    """The fresh processor is heard only when the user asks for it."""
    second = Halver()
    made = stage(Halver(), second)
    made.bypass()
    play(made, 500)
    made.remake()
    assert (play(made, 1000) == 1.0).all()
    assert not second.calls
    made.engage()
    assert play(made, 1000)[-1, 0] == 0.5


def test_the_state_does_not_undo_the_configuration() -> None:
    """A plugin whose state has its configuration in it is given the new one last."""
    fresh = Halver()
    stage(Halver(state="old values"), fresh).remake("new values")
    assert fresh.configs == ["old values", "new values"]


@pytest.mark.parametrize("where", ["export_state", "import_state"])
def test_a_state_that_cannot_be_moved_leaves_the_old_one(where: str) -> None:
    """The fresh processor is closed again."""

    def fail(*_: object) -> None:
        raise ValueError(where)

    first, second = Halver(state="{}"), Halver()
    setattr(first if where == "export_state" else second, where, fail)
    made = stage(first, second)
    with pytest.raises(NativePluginFailed, match=where):
        made.remake()
    assert (second.closed, first.closed) == (True, False)
    assert (play(made, 500) == 0.5).all()


# --- configurations -------------------------------------------------------------------------------------------------


def rejecting(word: str, error: Exception) -> Callable[[str], None]:
    """Refuses this configuration, and takes any other."""

    def answer(config_json: str) -> None:
        if config_json == word:
            raise error

    return answer


def test_all_processors_take_a_configuration_or_none() -> None:
    """What the second refuses is taken from the first again."""
    first, second = (Halver(channels=1, outputs=1) for _ in range(2))
    second.answer = rejecting("new", ConfigRejected("no"))
    made = stage(first, second, mapping=Mapping.PER_CHANNEL, per=2)
    made.apply_config("better")
    with pytest.raises(ConfigRejected):
        made.apply_config("new")
    assert first.configs == ["better", "new", "better"]
    assert second.configs == ["better"]
    assert not made.report().bypasses


def test_a_configuration_that_cannot_be_taken_back_is_a_crash() -> None:
    """Processors that differ are not to be heard."""
    first, second, *fresh = (Halver(channels=1, outputs=1) for _ in range(4))
    first.answer = rejecting("old", GuestTrap("trapped"))
    second.answer = rejecting("new", ConfigRejected("no"))
    made = stage(first, second, *fresh, mapping=Mapping.PER_CHANNEL, per=2)
    parts = [play(made, 500)]
    with pytest.raises(ConfigRejected):
        made.apply_config("new")
    parts.append(play(made, 500, 1000))
    assert made.report().bypasses[0].code == "guest-trap"
    assert steepest(*parts) <= SMOOTH
    assert [halver.calls for halver in fresh] == [1, 1]


def test_all_processors_are_asked_for_their_plan() -> None:
    """The one that minds most decides."""
    first, second = (Halver(channels=1, outputs=1) for _ in range(2))
    made = stage(first, second, mapping=Mapping.PER_CHANNEL, per=2)
    for mode in ConfigUpdateMode:
        second.mode = mode
        assert made.plan_config("new").mode is mode


@pytest.mark.parametrize("error", [GuestTrap("trapped"), ValueError("its own")])
def test_a_crash_over_a_configuration_is_bypassed_and_comes_back(error: Exception) -> None:
    """Without a click, and as it was made."""
    first, second = Halver(answer=rejecting("new", error)), Halver()
    made = stage(first, second)
    parts = [play(made, 500)]
    with pytest.raises(StellatuneError):
        made.apply_config("new")
    parts.append(play(made, 500, 1000))
    assert steepest(*parts) <= SMOOTH
    assert parts[-1][-1, 0] == 0.5
    assert first.closed
    (bypass,) = made.report().bypasses
    assert (bypass.at_frame, bypass.until_frame) == (500, 1000)


def test_a_configuration_that_changes_the_latency_as_it_runs_is_a_crash() -> None:
    """The stage would be out of step."""
    first = Halver()

    def answer(_: str) -> None:
        first.late = 99

    first.answer = answer
    made = stage(first, Halver())
    with pytest.raises(GuestContract):
        made.apply_config("new")
    assert play(made, 500, 1000)[-1, 0] == 0.5
    assert made.latency() == 0


def test_what_kills_while_it_plans_is_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code's exceptions do not: a plan changes nothing."""

    def trapping(_: str) -> ConfigUpdatePlan:
        raise GuestTrap("trapped")

    def raising_(_: str) -> ConfigUpdatePlan:
        raise KeyError("gain")

    halver = Halver()
    made = stage(halver, Halver())
    monkeypatch.setattr(halver, "plan_config", raising_)
    with pytest.raises(NativePluginFailed):
        made.plan_config("new")
    assert not made.report().bypasses
    monkeypatch.setattr(halver, "plan_config", trapping)
    with pytest.raises(GuestTrap):
        made.plan_config("new")
    assert [bypass.code for bypass in made.report().bypasses] == ["guest-trap"]


def test_closing_ends_all_processors_whatever_they_raise() -> None:
    """Native code's own exceptions included."""

    class Stubborn(Halver):
        def close(self) -> None:
            super().close()
            raise ValueError("no")

    bus = EventBus()
    halvers = [Stubborn(channels=1, outputs=1) for _ in range(2)]
    made = stage(*halvers, mapping=Mapping.PER_CHANNEL, per=2, bus=bus)
    with bus.recording() as events:
        made.close()
        made.close()
    assert all(halver.closed for halver in halvers)
    assert [event.name for event in events] == ["plugin.failed"] * 2
