"""A chain's frequency response, measured by what it makes of an impulse."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from stellatune_plugins.model import AudioSpec, Block
from stellatune_plugins.session.stages import ChainFactory

Floats = npt.NDArray[np.float64]

_LENGTH_S: Final = 1.5
"""Long enough for a filter's low end; a reverb's tail is cut, and with it only fine structure."""
_LEAD: Final = 4096
"""Silence before the impulse, so that ramps at the start are over."""
_BATCH: Final = 4096
_LEVELS: Final = (0.1, 0.01)
"""Amplitudes of two impulses, -20 and -40 dBFS: a linear chain answers both alike."""
_ALIKE_DB: Final = 0.1


class Response(msgspec.Struct, frozen=True):
    """Gain over frequency.

    Args:
        frequencies: in hertz.
        gains_db: shape ``(frequencies, channels)``; an impulse on every channel at once.
        linear: whether the answer keeps its shape at a tenth of the level.
    """

    frequencies: Floats
    gains_db: Floats
    linear: bool


def measure(chain_factory: ChainFactory, spec: AudioSpec, frequencies: Floats) -> Response:
    """Send impulses through fresh chains.

    Args:
        chain_factory: makes the chains; each is closed again.
        spec: the session's.
        frequencies: where to look, in hertz, below half the sample rate.
    """
    loud, quiet = (_gains(chain_factory, spec, frequencies, level) for level in _LEVELS)
    audible = loud > loud.max() - 40
    linear = bool(np.abs(loud - quiet)[audible].max() < _ALIKE_DB) if audible.any() else True
    return Response(frequencies, loud, linear)


def _gains(chain_factory: ChainFactory, spec: AudioSpec, frequencies: Floats, level: float) -> Floats:
    chain = chain_factory(spec)
    try:
        length = max(_LEAD, round(_LENGTH_S * spec.sample_rate) // _BATCH * _BATCH)
        total = _LEAD + chain.latency() + length
        signal = np.zeros((-(-total // _BATCH) * _BATCH, spec.channels), np.float32)
        signal[_LEAD] = level
        parts: list[Block] = [chain.process(signal[at : at + _BATCH]).copy() for at in range(0, len(signal), _BATCH)]
    finally:
        chain.close()
    answer = np.concatenate(parts)[_LEAD:].astype(np.float64) / level
    spectrum = np.abs(np.fft.rfft(answer, axis=0)) ** 2
    bins = np.fft.rfftfreq(len(answer), 1 / spec.sample_rate).astype(np.float64)
    columns = [_smoothed(bins, spectrum[:, c], frequencies) for c in range(answer.shape[1])]
    gains: Any = 10 * np.log10(np.maximum(np.stack(columns, axis=1), 1e-12))
    return np.asarray(gains, np.float64)


def _smoothed(bins: Floats, power: Floats, frequencies: Floats) -> Floats:
    """Mean power in a 48th of an octave round each frequency, at least a bin wide."""
    return band_power(bins, power, frequencies, 1 / 48) / _widths(frequencies, 1 / 48)


def _widths(frequencies: Floats, octaves: float) -> Floats:
    return np.asarray(frequencies * (2 ** (octaves / 2) - 2 ** (-octaves / 2)), np.float64)


def band_power(bins: Floats, power: Floats, frequencies: Floats, octaves: float) -> Floats:
    """The power in bands of so many octaves, as the integral over frequency of a density; bins may be cut."""
    step = bins[1] - bins[0]
    edges = np.concatenate([[max(0.0, bins[0] - step / 2)], bins + step / 2])
    running = np.concatenate([[0.0], np.cumsum(power * np.diff(edges))])
    low, high = frequencies * 2 ** (-octaves / 2), frequencies * 2 ** (octaves / 2)
    return np.asarray(np.interp(high, edges, running) - np.interp(low, edges, running), np.float64)
