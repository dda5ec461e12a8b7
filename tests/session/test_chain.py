"""A session's chain takes what it says it takes, and ends all that it owns."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import NativePluginFailed, ValueInvalid
from stellatune_plugins.model import AudioSpec, Block, Frames, SampleRate, StageReport
from stellatune_plugins.session.chain import SessionChain

STEREO, MONO = (AudioSpec(SampleRate(48000), channels) for channels in (2, 1))


class Mixer:
    """A node that halves, and gives one channel; it wants what stages may rely on."""

    def process(self, block: Block) -> Block:
        assert block.flags.c_contiguous
        assert len(block)
        return np.ascontiguousarray(block[:, :1] * np.float32(0.5))

    def latency(self) -> Frames:
        return Frames(0)

    def tail(self) -> Frames | None:
        return Frames(0)

    def reports(self) -> tuple[StageReport, ...]:
        return ()


class Owned:
    """Is closed, and may fail at it."""

    def __init__(self, log: list[int], number: int, error: Exception | None) -> None:
        self._log, self._number, self._error = log, number, error

    def close(self) -> None:
        self._log.append(self._number)
        if self._error is not None:
            raise self._error


def chain(*owned: Owned) -> SessionChain:
    """Two channels in, one out."""
    return SessionChain([Mixer()], input_spec=STEREO, output_spec=MONO, owned=owned)


@pytest.mark.parametrize("frames", [0, 1, 300_000])
def test_any_number_of_frames(frames: int) -> None:
    """As many come out, with the output's channels."""
    y = chain().process(np.ones((frames, 2), np.float32))
    assert y.shape == (frames, 1)
    assert y.dtype == np.float32
    assert (y == 0.5).all()


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::2, ::2],
        lambda x: x[::-1, 1:3],
        lambda x: np.asfortranarray(x[:, :2]),
        lambda x: np.broadcast_to(x[:1, :2], (50, 2)),
    ],
)
def test_strides_do_not_matter(view: Any) -> None:
    """A view of another array gives what a copy of it gives."""
    block = view(np.random.default_rng(1).random((100, 4), np.float32))
    assert np.array_equal(chain().process(block), block[:, :1] * np.float32(0.5))


@pytest.mark.parametrize(
    "block",
    [
        np.ones((10, 2)),
        np.ones((10, 2), np.int16),
        np.ones((10, 2), ">f4"),
        np.ones((0, 2)),
        np.ones((10, 1), np.float32),
        np.ones((0, 3), np.float32),
        np.ones(10, np.float32),
        np.ones((1, 10, 2), np.float32),
        [[0.0, 0.0]],
        None,
    ],
)
def test_anything_else_is_refused(block: Any) -> None:
    """By the chain itself, whatever its first stage would make of it."""
    with pytest.raises(ValueInvalid):
        chain().process(block)


def test_everything_is_closed_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The last first; the first error is raised when all are done, and the others are logged."""
    log: list[int] = []
    errors = [ValueError("third"), None, NativePluginFailed("second"), OSError("first"), None]
    made = chain(*(Owned(log, number, error) for number, error in enumerate(errors)))
    with caplog.at_level(logging.WARNING), pytest.raises(OSError, match="first"):
        made.close()
    assert log == [4, 3, 2, 1, 0]
    assert [word for word in ("second", "third") if word in caplog.text] == ["second", "third"]
    made.close()
    assert len(log) == 5
