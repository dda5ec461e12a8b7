"""A stage that the host calls keeps a fused stage's promises.

The processors here are plain Python; ``tests/integration`` has the same promises with real components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from stellatune_plugins.errors import GuestTrap, PluginFailure, StellatuneError
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
from stellatune_plugins.session.host_stage import BLOCK_FRAMES, HostStage, StageIdentity

RATE = 48000
FADE = 240


@dataclass
class Halver:
    """Halves, and does what it is told in its n-th call."""

    channels: int = 2
    outputs: int = 2
    late: int = 0
    at: int = -1
    deed: Callable[[Block], Block] | None = None
    calls: int = 0
    seen: list[int] = field(default_factory=list)
    closed: bool = False
    held: Block | None = None

    def process(self, block: Block) -> Block:
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
        return ConfigUpdatePlan(ConfigUpdateMode.HOT_APPLY)

    def apply_config(self, config_json: str) -> None: ...

    def export_state(self) -> str | None:
        return None

    def import_state(self, state_json: str) -> None: ...

    def close(self) -> None:
        self.closed = True


def stage(
    *made: Halver, channels: int = 2, mapping: Mapping = Mapping.DIRECT, bus: EventBus | None = None, per: int = 1
) -> HostStage:
    """A stage whose processors are made in this order."""
    rest = list(made)

    def make() -> list[Halver]:
        batch = [rest.pop(0) for _ in range(per)]
        if not batch:
            raise GuestTrap("none left")
        return batch

    return HostStage(
        StageIdentity(3, "test.halver", "halver", RuntimeKind.NATIVE),
        make,
        spec=AudioSpec(RATE, channels),  # type: ignore[arg-type]
        mapping=mapping,
        bus=bus or EventBus(),
        settings=HotPathSettings(replacement_pauses=(0.0,)),
    )


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
