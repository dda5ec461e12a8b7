"""Blocks into a sink, in the shape and at the pace of the sink."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stellatune_plugins.errors import OutputFailed
from stellatune_plugins.model import AudioSpec, Block, CoreModuleSpec, Frames, NegotiatedSpec, SampleRate, SinkStatus
from stellatune_plugins.native.unconfigured import Unconfigured
from stellatune_plugins.session import feed as feed_module
from stellatune_plugins.session.feed import Feed

STEREO = AudioSpec(SampleRate(48000), 2)
MONO = AudioSpec(SampleRate(48000), 1)


class Room(Unconfigured):
    """A sink that accepts so many frames a call, in turn."""

    def __init__(self, *room: int) -> None:
        self._room = itertools.cycle(room)
        self.offered: list[int] = []
        self.parts: list[Block] = []
        self.opened: list[tuple[str, AudioSpec]] = []

    def list_targets_json(self) -> str:
        return "[]"

    def negotiate_spec(self, target_json: str, desired: AudioSpec) -> NegotiatedSpec:
        return agreed(desired)

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:
        return None

    def status(self) -> SinkStatus:
        return SinkStatus(queued_samples=0, running=True)

    def flush(self) -> None:
        pass

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass

    def open(self, target_json: str, spec: AudioSpec) -> None:
        self.opened.append((target_json, spec))

    def write(self, block: Block) -> Frames:
        accepted = next(self._room)
        self.offered.append(len(block))
        self.parts.append(np.array(block[: max(accepted, 0)]))
        return Frames(min(accepted, len(block)) if accepted < 1_000_000 else accepted)

    def taken(self) -> Block:
        """All of it."""
        return np.concatenate(self.parts)


def agreed(spec: AudioSpec, chunk: int = 0) -> NegotiatedSpec:
    """What a sink said."""
    return NegotiatedSpec(spec, Frames(chunk), prefer_track_rate=False)


def noise(frames: int, channels: int) -> Block:
    """Full of sound."""
    return np.random.default_rng(3).uniform(-1, 1, (frames, channels)).astype(np.float32)


def test_it_goes_on_where_the_sink_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partial writes, and some that take nothing, lose no frame and repeat none."""
    monkeypatch.setattr(feed_module, "STALL_PAUSE_S", 0.0)
    sink, music = Room(7, 0, 1, 100), noise(1000, 2)
    Feed(sink, "{}", STEREO, agreed(STEREO)).write(music)
    assert np.array_equal(sink.taken(), music)
    assert sink.opened == [("{}", STEREO)]


@pytest.mark.parametrize(("chunk", "largest"), [(0, 1000), (64, 64), (5000, 1000)])
def test_it_writes_as_much_as_the_sink_likes(chunk: int, largest: int) -> None:
    """The preferred chunk, where the sink has one."""
    sink, music = Room(5000), noise(1000, 2)
    Feed(sink, "{}", STEREO, agreed(STEREO, chunk)).write(music)
    assert max(sink.offered) == largest
    assert np.array_equal(sink.taken(), music)


def test_mono_and_stereo_reach_each_other() -> None:
    """Mono twice, or the mean; what was agreed is opened."""
    sink, music = Room(5000), noise(10, 1)
    Feed(sink, "{}", MONO, agreed(STEREO)).write(music)
    assert np.array_equal(sink.taken(), np.hstack([music, music]))
    assert sink.opened == [("{}", STEREO)]
    sink, music = Room(5000), noise(10, 2)
    Feed(sink, "{}", STEREO, agreed(MONO)).write(music)
    assert np.allclose(sink.taken()[:, 0], music.mean(axis=1))


@pytest.mark.parametrize(
    "spec", [AudioSpec(SampleRate(48000), 6), AudioSpec(SampleRate(44100), 2)], ids=["channels", "rate"]
)
def test_another_shape_is_refused(spec: AudioSpec) -> None:
    """Before anything is opened."""
    sink = Room(1)
    with pytest.raises(OutputFailed, match="the sink takes"):
        Feed(sink, "{}", STEREO, agreed(spec))
    assert not sink.opened


def test_a_sink_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, not at once."""
    monkeypatch.setattr(feed_module, "STALL_S", 0.05)
    sink = Room(0)
    with pytest.raises(OutputFailed, match="accepted nothing"):
        Feed(sink, "{}", STEREO, agreed(STEREO)).write(noise(10, 2))
    assert len(sink.offered) > 2


@pytest.mark.parametrize("claim", [-1, 1_000_000])
def test_a_sink_that_lies_is_not_believed(claim: int) -> None:
    """Neither less than nothing nor more than there was."""
    with pytest.raises(OutputFailed, match="accepted"):
        Feed(Room(claim), "{}", STEREO, agreed(STEREO)).write(noise(10, 2))
