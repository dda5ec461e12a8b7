"""WAV files, 16 and 24 bit and 32-bit float.

Written here and not by libsndfile because that one swallows errors of the disk, puts the time of day into float files
(the PEAK chunk) and must know beforehand whether a file will outgrow 4 GiB. The chunk reserved for that case becomes
``ds64`` when it does: EBU Tech 3306, RF64. More than two channels or 16 bits take WAVE_FORMAT_EXTENSIBLE.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from stellatune_plugins.model import AudioSpec

_LIMIT: Final = (1 << 32) - (1 << 20)
"""Above this, RF64; the room below 4 GiB is for tags."""
_SPEAKERS: Final = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_PCM: Final = 1
_FLOAT: Final = 3
_EXTENSIBLE: Final = 0xFFFE


class WavWriter:
    """Writes samples behind a header that is filled in at the end."""

    def __init__(self, file: BinaryIO, spec: AudioSpec, bits: int, *, is_float: bool, limit: int = _LIMIT) -> None:
        self._file = file
        self._bytes = bits // 8
        self._align = self._bytes * spec.channels
        self._limit = limit
        self._data_bytes = 0
        code = _FLOAT if is_float else _PCM
        wide = spec.channels > 2 or (bits > 16 and not is_float)
        form = struct.pack(
            "<HHIIHH",
            _EXTENSIBLE if wide else code,
            spec.channels,
            spec.sample_rate,
            spec.sample_rate * self._align,
            self._align,
            bits,
        )
        if wide:
            form += struct.pack("<HHIH", 22, bits, _SPEAKERS.get(spec.channels, 0), code) + _GUID_TAIL
        elif is_float:
            form += struct.pack("<H", 0)
        self._fact_at = 0
        head = (
            b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI28x", b"JUNK", 28) + struct.pack("<4sI", b"fmt ", len(form)) + form
        )
        if code == _FLOAT or wide:
            self._fact_at = len(head) + 8
            head += struct.pack("<4sII", b"fact", 4, 0)
        self._head_bytes = len(head) + 8
        file.write(head + struct.pack("<4sI", b"data", 0))

    def write(self, samples: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> None:
        """Append frames: shape ``(frames, channels)``, integers of the file's width or floats."""
        if samples.dtype == np.float32:
            data = np.ascontiguousarray(samples, "<f4").tobytes()
        elif self._bytes == 2:
            data = samples.astype("<i2").tobytes()
        else:
            as_bytes = np.ascontiguousarray(samples, "<i4").view(np.uint8)
            data = as_bytes.reshape(-1, 4)[:, : self._bytes].tobytes()
        self._file.write(data)
        self._data_bytes += len(data)

    def finish(self) -> bool:
        """Fill in the header. Gives whether the file is an RF64."""
        if self._data_bytes % 2:
            self._file.write(b"\0")
        frames = self._data_bytes // self._align
        riff_bytes = self._head_bytes + self._data_bytes + self._data_bytes % 2 - 8
        large = riff_bytes > self._limit
        if large:
            self._patch(0, struct.pack("<4sI", b"RF64", 0xFFFFFFFF))
            self._patch(12, struct.pack("<4sIQQQI", b"ds64", 28, riff_bytes, self._data_bytes, frames, 0))
        else:
            self._patch(4, struct.pack("<I", riff_bytes))
        if self._fact_at:
            self._patch(self._fact_at, struct.pack("<I", 0xFFFFFFFF if large else frames))
        self._patch(self._head_bytes - 4, struct.pack("<I", 0xFFFFFFFF if large else self._data_bytes))
        self._file.seek(0, 2)
        return large

    def _patch(self, at: int, data: bytes) -> None:
        self._file.seek(at)
        self._file.write(data)
