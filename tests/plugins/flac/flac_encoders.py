"""Real encoders: the ``flac`` program, libsndfile and FFmpeg's library."""

from __future__ import annotations

import io
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from flac_sounds import RATE, Ints

_PCM = bytes.fromhex("0100000000001000800000aa00389b71")
_MASKS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def wave(samples: Ints, bits: int, rate: int) -> bytes:
    """A WAVE_FORMAT_EXTENSIBLE file, which can say that 12 of 16 bits count."""
    channels, width = samples.shape[1], (bits + 7) // 8
    shifted = samples.astype(np.int64) << (8 * width - bits)
    if width == 1:
        shifted += 128
    data = shifted.astype("<i8").view(np.uint8).reshape(*samples.shape, 8)[:, :, :width].tobytes()
    frame = channels * width
    form = struct.pack("<HHIIHHHHI", 0xFFFE, channels, rate, rate * frame, frame, 8 * width, 22, bits, _MASKS[channels])
    chunks = b"fmt " + struct.pack("<I", 40) + form + _PCM + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def by_flac(folder: Path, samples: Ints, bits: int, *options: str, rate: int = RATE) -> bytes:
    """The reference encoder's program."""
    out = folder / "out.flac"
    command = ["flac", "--silent", "--force", *options, "-", "-o", str(out)]
    done = subprocess.run(command, input=wave(samples, bits, rate), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return out.read_bytes()


def by_flac_to_pipe(samples: Ints, bits: int, *options: str, rate: int = RATE) -> bytes:
    """The same into a pipe, as a recording that goes on: its description has neither length nor checksum nor sizes."""
    command = ["flac", "--silent", "--stdout", *options, "-"]
    done = subprocess.run(command, input=wave(samples, bits, rate), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    data = bytearray(done.stdout)
    assert data[26:42] == bytes(16), "a pipe cannot be gone back in"
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # the length, which this input told beforehand
    return bytes(data)


def by_sndfile(samples: Ints, bits: int, *, level: float = 0.625, rate: int = RATE) -> bytes:
    """libsndfile, for 8, 16 and 24 bits."""
    out = io.BytesIO()
    subtype = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}[bits]
    with soundfile.SoundFile(out, "w", rate, samples.shape[1], subtype, format="FLAC", compression_level=level) as file:
        file.write(np.left_shift(samples, 32 - bits))
    return out.getvalue()


def by_ffmpeg(samples: Ints, bits: int, options: dict[str, str], *, rate: int = RATE) -> bytes:
    """FFmpeg's own encoder, for 16 and 24 bits."""
    out = io.BytesIO()
    form = {16: "s16", 24: "s32"}[bits]
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream(
            "flac", rate=rate, options={**options, "strict": "-2", "bits_per_raw_sample": str(bits)}
        )
        stream.codec_context.layout = _LAYOUTS[samples.shape[1]]
        stream.codec_context.format = form
        stream.codec_context.time_base = Fraction(1, rate)
        packed = samples.astype("<i2") if bits == 16 else np.left_shift(samples, 8)
        for at in range(0, len(packed), 8192):
            piece = np.ascontiguousarray(packed[at : at + 8192]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, format=form, layout=_LAYOUTS[samples.shape[1]])
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
