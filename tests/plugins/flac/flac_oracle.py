"""What libsndfile says of the same bytes: samples as far as it goes, and whether it refused."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import soundfile

from stellatune_plugins.model import Block

_lib: Final[Any] = soundfile._snd
_ffi: Final[Any] = soundfile._ffi


@dataclass(frozen=True)
class Heard:
    """``samples`` is ``None`` where it did not open; ``refused`` where it reported an error then or later."""

    samples: Block | None
    refused: bool


def heard(data: bytes, chunk: int = 1024) -> Heard:
    """Read everything, straight through."""
    try:
        file: Any = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError:
        return Heard(None, refused=True)
    blocks = [np.zeros((0, file.channels), np.float32)]
    refused = False
    with file:
        while not refused:
            block = np.empty((chunk, file.channels), np.float32)
            count = _lib.sf_readf_float(file._file, _ffi.cast("float *", block.ctypes.data), chunk)
            refused = _lib.sf_error(file._file) != 0
            if refused or count <= 0:
                break
            blocks.append(block[:count])
    return Heard(np.concatenate(blocks), refused=refused)
