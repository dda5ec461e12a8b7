"""Real audio, made here: signals, encodes, and what a decoder gives back."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from stellatune_plugins.model import AudioTags, Block, Frames, MediaMetadata, Picture
from stellatune_plugins.native.av_decoder import AvDecoder, AvDecoderSession
from stellatune_plugins.native.streams import FileByteStream

RATE = 48000
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}

FORMATS = {"wavpack": "s16p", "tta": "s16"}
"""Their first choice would be 8 bit."""


def music(frames: int, channels: int = 2, seed: int = 1) -> Block:
    """Something with a sharp autocorrelation, so that a shift by one frame shows."""
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.standard_normal((frames + 8, channels)), axis=0)
    smooth = noise[8:] - noise[:-8]
    return np.ascontiguousarray(0.25 * smooth / np.abs(smooth).max(), np.float32)


def encode(path: Path, codec: str, signal: Block, rate: int = RATE) -> Path:
    """Encode with FFmpeg's own encoders and muxers."""
    layout = LAYOUTS[signal.shape[1]]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        if codec in FORMATS:
            stream.codec_context.format = FORMATS[codec]
        frame = av.AudioFrame.from_ndarray(signal.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        size = stream.codec_context.frame_size or 4096
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate, frame_size=size)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            for packet in stream.encode(piece):
                container.mux(packet)
    return path


def decode(path: Path, batch: int = 5000) -> tuple[Block, AvDecoderSession]:
    """All of a file, and the session, closed."""
    session = AvDecoder().open(FileByteStream(path), path.suffix[1:])
    blocks = []
    try:
        while True:
            chunk = session.read_pcm(Frames(batch))
            blocks.append(chunk.block)
            if chunk.eof:
                return np.concatenate(blocks), session
    finally:
        session.close()


def shift_of(decoded: Block, original: Block, reach: int = 4000) -> int:
    """By how many frames ``decoded`` lags ``original``, by cross-correlation."""
    piece = original[reach : reach + 16384, 0].astype(np.float64)
    room = decoded[: len(piece) + 2 * reach, 0].astype(np.float64)
    size = 1 << (len(room) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(room, size) * np.conj(np.fft.rfft(piece, size)))
    return int(np.argmax(product[: 2 * reach])) - reach


def png() -> bytes:
    """A picture of four pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\xff\0\0" * 2 + b"\0" + b"\0\xff\0" * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class Audio:
    """The functions above, as one fixture."""

    rate = RATE
    music = staticmethod(music)
    encode = staticmethod(encode)
    decode = staticmethod(decode)
    shift_of = staticmethod(shift_of)
    png = staticmethod(png)


@pytest.fixture
def audio() -> type[Audio]:
    """Helpers for real audio."""
    return Audio


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sound WAV file."""

    def make(signal: Block, rate: int = RATE, name: str = "in.wav", subtype: str = "FLOAT") -> Path:
        path = tmp_path / name
        soundfile.write(path, signal, rate, subtype=subtype)
        return path

    return make


@pytest.fixture
def metadata() -> MediaMetadata:
    """Every tag, two artists, further fields and a cover."""
    return MediaMetadata(
        tags=AudioTags(
            title="Tïtle",
            album="Album",
            artists=("First", "Second"),
            album_artists=("Various",),
            genres=("Rock", "Jazz"),
            track_number=3,
            track_total=9,
            disc_number=1,
            disc_total=2,
            year=1999,
            comment="Heard at home",
        ),
        extras=(("composer", "Bach"), ("musicbrainz_trackid", "0123")),
        pictures=(Picture("image/png", png(), "front"),),
    )
