"""FLAC, Ogg Vorbis and Ogg Opus through libsndfile."""

from __future__ import annotations

from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import soundfile

from stellatune_plugins.model import AudioSpec

_SLICE: Final = 8192
"""Frames a call: libvorbis takes its analysis buffer from the stack."""
_VORBIS_ORDER: Final = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 4, 5, 3),
    7: (0, 2, 1, 5, 6, 4, 3),
    8: (0, 2, 1, 6, 7, 4, 5, 3),
}
"""Where each Vorbis channel comes from in WAV's order: Vorbis I specification, section 4.3.9."""


class _Callbacks:
    """The file as libsndfile's callbacks see it: keeps what the disk answered, since C code drops it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.failure is None:
            try:
                return self._file.write(data)
            except OSError as error:
                self.failure = error
        return 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def seek(self, offset: int, whence: int = 0) -> int:
        if self.failure is None:
            try:
                return self._file.seek(offset, whence)
            except OSError as error:  # seeking writes what is buffered
                self.failure = error
        return 0

    def tell(self) -> int:
        return self._file.tell()


class SndfileWriter:
    """Writes samples with libsndfile; errors of the disk come out as they are.

    Args:
        file: where the bytes go; stays open.
        spec: the stream's shape, channels in WAV's order.
        container: ``FLAC`` or ``OGG``.
        subtype: libsndfile's name, such as ``PCM_24``, ``VORBIS`` or ``OPUS``.
        level: libsndfile's compression level, 0 to 1.

    Raises:
        soundfile.LibsndfileError: the shape does not fit the format.
    """

    def __init__(self, file: BinaryIO, spec: AudioSpec, container: str, subtype: str, level: float | None) -> None:
        self._io = _Callbacks(file)
        self._shift = {"PCM_16": 16, "PCM_24": 8}.get(subtype, 0)
        self._order = _VORBIS_ORDER.get(spec.channels) if container == "OGG" else None
        self._out: Any = soundfile.SoundFile(
            self._io, "w", spec.sample_rate, spec.channels, subtype, format=container, compression_level=level
        )

    def write(self, samples: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> None:
        """Append frames: integers of the file's width or floats, shape ``(frames, channels)``."""
        data: npt.NDArray[Any] = samples
        if self._order is not None:
            data = np.ascontiguousarray(data[:, self._order])
        if self._shift and data.dtype == np.int32:
            data = np.left_shift(data, self._shift)  # libsndfile's integers are left-aligned
        for at in range(0, len(data), _SLICE):
            try:
                self._out.write(data[at : at + _SLICE])
            except (AssertionError, soundfile.LibsndfileError):
                self._check()
                raise
            self._check()

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._out.close()
        self._check()

    def abandon(self) -> None:
        """Close without caring about the result. May be called again."""
        if not self._out.closed:
            self._out.close()

    def _check(self) -> None:
        failure, self._io.failure = self._io.failure, None
        if failure is not None:
            self._io.failure = failure
            raise failure
