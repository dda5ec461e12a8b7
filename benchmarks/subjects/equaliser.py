"""Gain and a ten-band equaliser, sandboxed, against pedalboard's Gain and ten PeakFilters.

Each gets its own layout of the same sound, and the same blocks through its public interface: ours ``(frames, 2)``,
interleaved; pedalboard ``(2, frames)``, planar, with ``reset=False`` and float32 throughout. Before anything is timed,
both are checked to do the same work.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pedalboard import Gain, PeakFilter, Pedalboard  # type: ignore[attr-defined, unused-ignore]

from benchmarks.race import Call, race
from benchmarks.results import Row
from benchmarks.workshop import RATE, TEN_BANDS, Workshop
from stellatune_plugins.hotpath import FusedChain

NAME = "equaliser"
TITLE = "Gain and ten bands, 44.1 kHz stereo"
OURS, BATCH, KERNEL = "gain + parametric-eq", "the same, many blocks a call", "the equaliser's code alone"
PEDALBOARD, PEDALBOARD_BATCH = "pedalboard", "pedalboard, many blocks a call"
FRAMES = (64, 128, 256, 512, 1024, 2048, 4096)
_BATCH_FRAMES = 16384
_ALLOWED = 0.3


def measure(shop: Workshop) -> Iterator[Row]:
    """One block a call, then many."""
    apart = _apart(_chain(shop, 1024), shop)
    for frames in FRAMES[::2] if shop.quick else FRAMES:
        many = _BATCH_FRAMES // frames
        result = race(
            _contestants(shop, frames), shop.seconds(3.0), least_rounds=40, per={BATCH: many, PEDALBOARD_BATCH: many}
        )
        result.derive(KERNEL, result.rounds["kernel and call"] - result.rounds["call"])
        case = f"{frames} frames"
        yield result.row(NAME, case, OURS, PEDALBOARD, most_ratio=_ALLOWED, note=f"outputs {apart:.0f} dB apart")
        yield result.row(NAME, case, BATCH, PEDALBOARD_BATCH, most_ratio=_ALLOWED)
        yield result.row(NAME, case, KERNEL, OURS, note="what of our time is the filter itself")


def _contestants(shop: Workshop, frames: int) -> dict[str, Call]:
    block, blocks = shop.noise(frames), shop.noise(_BATCH_FRAMES)
    planar, planars = np.ascontiguousarray(block.T), np.ascontiguousarray(blocks.T)
    fused, board, batch_board = _chain(shop, frames), _board(), _board()
    (instance,) = shop.instances([shop.stage("parametric-eq")])
    instance.memory.array("<f4", instance.regions.input, block.size)[:] = block.ravel()
    kernel, context, ticks = instance.process_call(), instance.context, shop.engine.ticks(1.0)

    def alone(count: int) -> None:
        kernel.args[0], kernel.args[2] = context, count
        kernel(ticks)

    return {
        OURS: lambda: fused.process(block),
        PEDALBOARD: lambda: board.process(planar, RATE, buffer_size=frames, reset=False),
        BATCH: lambda: fused.process(blocks),
        PEDALBOARD_BATCH: lambda: batch_board.process(planars, RATE, buffer_size=frames, reset=False),
        "kernel and call": lambda: alone(frames),
        "call": lambda: alone(0),
    }


def _chain(shop: Workshop, frames: int) -> FusedChain:
    return shop.chain([shop.stage("gain"), shop.stage("parametric-eq")], block=frames)


def _board() -> Pedalboard:
    return Pedalboard([Gain(-3.5), *(PeakFilter(f, gain, q) for f, gain, q in TEN_BANDS)])


def _apart(chain: FusedChain, shop: Workshop) -> float:
    """How far the two outputs lie below the sound, in decibels. The left channel: balance is ours alone."""
    x = shop.noise(32768)
    ours = chain.process(x)[:, 1]
    theirs = _board().process(np.ascontiguousarray(x.T), RATE, reset=False)[1]
    apart = float(20 * np.log10(np.sqrt(np.mean((ours - theirs) ** 2)) / np.sqrt(np.mean(theirs**2))))
    assert apart < -60, f"the two do not do the same work: they are {apart:.0f} dB apart"
    return -apart
