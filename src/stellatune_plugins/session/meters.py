"""Levels of a stream while it passes: peaks, true peak, loudness."""

from __future__ import annotations

import math
from typing import Any, Final

import av
import av.filter
import numpy as np

from stellatune_plugins.model import AudioSpec, Block
from stellatune_plugins.session.report import Levels

LAYOUT_NAMES: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's names for WAV's channel orders."""
_GATE_LUFS: Final = -70.0
"""The absolute gate of BS.1770: a signal that never passes it has no loudness."""


def dbfs(amplitude: float) -> float | None:
    """Amplitude in decibels; ``None`` for silence."""
    return 20 * math.log10(amplitude) if amplitude > 0 else None


class Loudness:
    """Integrated loudness and range, by FFmpeg's ``ebur128`` filter (EBU R 128, ITU-R BS.1770)."""

    def __init__(self, spec: AudioSpec) -> None:
        self._layout = LAYOUT_NAMES[spec.channels]
        self._rate = spec.sample_rate
        self._at = 0
        self._found: dict[str, str] = {}
        self._graph = av.filter.Graph()
        self._source: Any = self._graph.add(
            "abuffer",
            sample_rate=str(spec.sample_rate),
            sample_fmt="flt",
            channel_layout=self._layout,
            time_base=f"1/{spec.sample_rate}",
        )
        meter = self._graph.add("ebur128", metadata="1", framelog="quiet")
        self._sink: Any = self._graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        self._graph.configure()

    def add(self, block: Block) -> None:
        """Take the next frames."""
        if not len(block):
            return
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self._at
        self._at += len(block)
        self._source.push(frame)
        self._drain()

    def result(self) -> tuple[float | None, float | None]:
        """Integrated loudness in LUFS and range in LU; ``None`` for what never passes the gate."""
        self._source.push(None)
        self._drain()
        integrated = float(self._found.get("lavfi.r128.I", "nan"))
        if not integrated > _GATE_LUFS:
            return None, None
        spread = float(self._found.get("lavfi.r128.LRA", "nan"))
        return integrated, None if math.isnan(spread) or self._at < 3 * self._rate else spread

    def _drain(self) -> None:
        while True:
            try:
                frame = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._found = frame.metadata or self._found


# ITU-R BS.1770-5, annex 2: the four phases of the interpolating filter; the third and fourth mirror the first two.
_PHASE_0: Final = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_PHASE_1: Final = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
_TAPS: Final = 12
_ROW: Final = 16
"""Frames a row. The filter is a product with a banded matrix, since that is what BLAS is fast at."""
_GROUP: Final = 32
"""Rows a product: small enough that BLAS does not wake its other threads, which would spin on the other cores."""


def _band() -> np.ndarray[Any, np.dtype[np.float32]]:
    phases = np.array([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]], np.float32)
    band = np.zeros((_ROW + _TAPS - 1, 4 * _ROW), np.float32)
    for at in range(_ROW):
        band[at : at + _TAPS, 4 * at : 4 * at + 4] = phases[:, ::-1].T
    return band


_BAND: Final = _band()


class TruePeak:
    """The highest point between the samples, four times oversampled."""

    def __init__(self, channels: int) -> None:
        self._past = np.zeros((_TAPS - 1, channels), np.float32)
        self._highest = 0.0

    def add(self, block: Block) -> None:
        """Take the next frames."""
        if not len(block):
            return
        groups = -(-len(block) // (_ROW * _GROUP))
        joined = np.zeros((groups * _GROUP * _ROW + _TAPS - 1, block.shape[1]), np.float32)
        joined[: _TAPS - 1] = self._past
        joined[_TAPS - 1 : _TAPS - 1 + len(block)] = block
        self._past = joined[len(block) : len(block) + _TAPS - 1].copy()
        shape, strides = (groups, _GROUP, _ROW + _TAPS - 1), (4 * _ROW * _GROUP, 4 * _ROW, 4)
        for channel in range(block.shape[1]):
            line = np.ascontiguousarray(joined[:, channel])
            windows = np.lib.stride_tricks.as_strided(line, shape, strides, writeable=False)
            points = np.ascontiguousarray(windows) @ _BAND
            self._highest = max(self._highest, float(points.max()), -float(points.min()))

    def result(self) -> float:
        """Amplitude, 1.0 being full scale. Ends the stream."""
        self.add(np.zeros((_TAPS, self._past.shape[1]), np.float32))
        return self._highest


class Meter:
    """All levels of one stream, as far as they are asked for and the layout is known."""

    def __init__(self, spec: AudioSpec, *, loudness: bool, true_peak: bool) -> None:
        self._peak = 0.0
        self._loudness = Loudness(spec) if loudness and spec.channels in LAYOUT_NAMES else None
        self._true_peak = TruePeak(spec.channels) if true_peak else None

    def add(self, block: Block) -> None:
        """Take the next frames, shape ``(frames, channels)``."""
        if not len(block):
            return
        self._peak = max(self._peak, float(block.max()), -float(block.min()))
        if self._loudness is not None:
            self._loudness.add(block)
        if self._true_peak is not None:
            self._true_peak.add(block)

    def levels(self) -> Levels:
        """The result. Ends the stream."""
        integrated, spread = self._loudness.result() if self._loudness is not None else (None, None)
        true_peak = None if self._true_peak is None else dbfs(max(self._true_peak.result(), self._peak))
        return Levels(peak_dbfs=dbfs(self._peak), true_peak_dbtp=true_peak, loudness_lufs=integrated, range_lu=spread)
