"""What the corpus is made of: a piece of music, and sounds that reach every corner of the format."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
"""Samples of shape ``(frames, channels)``, right-aligned."""
TOOLS = Path(__file__).resolve().parents[3] / "tools"
RATE = 44_100


def _composer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compose_demo_music", TOOLS / "compose_demo_music.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def music() -> npt.NDArray[np.float64]:
    """The first seven seconds of the house's own piece, stereo, 44.1 kHz, peak at -1 dBFS."""
    frames = 7 * RATE
    mix = np.zeros((frames, 2))
    for at, right, sound in _composer().performance():
        first = round(at * RATE)
        if first >= frames:
            break
        cut = sound[: frames - first]
        mix[first : first + len(cut)] += cut[:, None] * [np.cos(right * np.pi / 2), np.sin(right * np.pi / 2)]
    mix += np.random.default_rng(3).normal(0, 2e-4, mix.shape)  # the room's own noise
    scaled: npt.NDArray[np.float64] = mix / np.abs(mix).max() * 0.89
    return scaled


def quantized(sound: npt.NDArray[np.float64], bits: int) -> Ints:
    """Floats of full scale 1 as integers."""
    full = 2.0 ** (bits - 1)
    return np.clip(np.rint(sound * full), -full, full - 1).astype(np.int64).astype(np.int32)


def piece(bits: int, channels: int = 2, frames: int = RATE // 2, start: int = RATE) -> Ints:
    """A cut of the music; further channels are the same music at other places."""
    whole = music()
    shifts = [np.roll(whole, -997 * (c // 2), axis=0)[:, c % 2] * 0.93 ** (c // 2) for c in range(channels)]
    stack = np.stack([shift[start : start + frames] for shift in shifts], axis=1)
    return quantized(stack, bits)


def noise(bits: int, channels: int = 2, frames: int = 6_000, seed: int = 1) -> Ints:
    """White noise at full scale: nothing to predict, so samples go verbatim or with long codes."""
    full = 2 ** (bits - 1)
    drawn = np.random.default_rng(seed).integers(-full, full, (frames, channels), dtype=np.int64)
    return drawn.astype(np.int32)


def silence(channels: int = 2, frames: int = 6_000) -> Ints:
    """Nothing."""
    return np.zeros((frames, channels), np.int32)


def steps(bits: int, channels: int = 2, frames: int = 6_000) -> Ints:
    """From one full scale to the other and back: differences and residuals as large as they can be."""
    full = 2 ** (bits - 1)
    wave = np.where(np.arange(frames)[:, None] // np.array([7 + 3 * c for c in range(channels)]) % 2, full - 1, -full)
    out: Ints = wave.astype(np.int64).astype(np.int32)
    return out


def opposed(bits: int, frames: int = 6_000) -> Ints:
    """Right is left upside down: the side channel needs its extra bit."""
    left = noise(bits, 1, frames, seed=5)[:, 0].astype(np.int64)
    both = np.stack([left, np.maximum(-left, -(2 ** (bits - 1))).clip(None, 2 ** (bits - 1) - 1)], axis=1)
    return both.astype(np.int32)


def wasted(bits: int, low: int, channels: int = 2) -> Ints:
    """Music whose lowest bits are zeros."""
    cut: Ints = (piece(bits, channels, 12_000) >> low) << low
    return cut


def sparse(bits: int, channels: int = 2, frames: int = 9_000) -> Ints:
    """Clicks in near silence: a few very long codes among very short ones."""
    hand = np.random.default_rng(11)
    out = hand.integers(-1, 2, (frames, channels))
    out[hand.integers(0, frames, 40), hand.integers(0, channels, 40)] = 2 ** (bits - 1) - 1
    return out.astype(np.int32)


def floats(samples: Ints, bits: int) -> npt.NDArray[np.float32]:
    """What a decoder has to give for integers: rounded once, then scaled by a power of two."""
    return samples.astype(np.float32) * np.float32(2.0 ** -(bits - 1))
