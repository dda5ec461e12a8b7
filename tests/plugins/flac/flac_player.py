"""Opens and drains tracks with a decoder plugin, as the host does."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import cast

import numpy as np

from stellatune_plugins.contract import ByteStream
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor import WasmDecoder
from stellatune_plugins.executor.decoder_client import WasmDecoderSession
from stellatune_plugins.model import Block, Frames


class MemoryStream:
    """Bytes as a host stream; one that only goes forward if told so."""

    def __init__(self, data: bytes, *, forward: bool = False, most: int | None = None) -> None:
        self._file = io.BytesIO(data)
        self._forward = forward
        self._most = most
        self.reads = 0
        self.closed = False

    def read(self, max_bytes: int) -> bytes:
        self.reads += 1
        return self._file.read(max_bytes if self._most is None else min(self._most, max_bytes))

    def seek(self, offset: int, whence: int = 0) -> int:
        if self._forward:
            raise PluginFailure("unsupported", "this stream goes forward alone")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int | None:
        return None if self._forward else len(self._file.getbuffer())

    def close(self) -> None:
        self.closed = True


@dataclass
class Track:
    """Everything that a session gave, and what it said on the way."""

    samples: Block
    failures: list[tuple[int, str]]
    """How many frames had come, and the message."""


class Player:
    """Opens bytes with the plugin."""

    def __init__(self, decoder: WasmDecoder) -> None:
        self._decoder = decoder

    def open(self, data: bytes | MemoryStream) -> WasmDecoderSession:
        """A session; the caller closes it.

        Raises:
            PluginFailure: the plugin refuses it.
        """
        stream = data if isinstance(data, MemoryStream) else MemoryStream(data)
        return self._decoder.open(cast("ByteStream", stream), "flac")

    def decode(self, data: bytes | MemoryStream, chunk: int = 65536) -> Track:
        """All of a track, going on behind failures.

        Raises:
            PluginFailure: the plugin refuses it.
        """
        session = self.open(data)
        try:
            return drain(session, chunk)
        finally:
            session.close()


def drain(session: WasmDecoderSession, chunk: int = 65536) -> Track:
    """What is left of a session."""
    blocks: list[Block] = []
    failures: list[tuple[int, str]] = []
    frames = 0
    while True:
        try:
            piece = session.read_pcm(Frames(chunk))
        except PluginFailure as failure:
            failures.append((frames, failure.message.removeprefix("io: ")))
            assert len(failures) < 10_000, "a failure is to be told once"
            continue
        blocks.append(piece.block)
        frames += len(piece.block)
        if piece.eof:
            break
    return Track(np.concatenate(blocks), failures)
