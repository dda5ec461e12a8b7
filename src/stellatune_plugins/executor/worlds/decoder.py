"""World ``decoder-plugin``: one opened track, and what the guest says of it checked."""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.engine.values import Some
from stellatune_plugins.errors import GuestContract, StellatuneError, ValueInvalid
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.loan import LentStream
from stellatune_plugins.executor.messages import (
    Arguments,
    DecoderArguments,
    Info,
    InstanceRequest,
    Nothing,
    Pcm,
    ReadInfo,
    ReadMetadata,
    ReadPcm,
    SeekTo,
    Tagged,
    Value,
)
from stellatune_plugins.executor.names import DECODER
from stellatune_plugins.executor.results import unwrap
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.worlds.checks import SAMPLE_BYTES, audio_spec
from stellatune_plugins.executor.worlds.exported import ExportedInstance
from stellatune_plugins.executor.worlds.metadata import duration, metadata_of
from stellatune_plugins.model import DecoderInfo, Frames

MAX_CHUNK_BYTES: Final = 256 * 1024
"""Samples that one read asks for at most."""
MAX_GAPLESS_FRAMES: Final = 1_000_000
"""Delay or padding: the host holds so many frames back."""
MAX_EMPTY_READS: Final = 64
"""Reads in a row that may give nothing and still not be the end."""


class DecoderInstance(ExportedInstance):
    """One ``decoder.session`` in its cell, over a stream that the host lends it.

    Args:
        cell: its home, enabled; nobody else uses it.
        arguments: which stream.
        streams: where it is.
    """

    def __init__(self, cell: Cell, arguments: DecoderArguments, streams: StreamTable) -> None:
        super().__init__(cell, DECODER, "session", "decoder")
        self._info: DecoderInfo | None = None
        self._empty = 0
        self._lent = LentStream(streams.get(arguments.stream))
        if self._lent.tell():
            self._lent.seek(0)
        hint = None if arguments.ext_hint is None else Some(arguments.ext_hint)
        try:
            self._create("decoder.open", "open", self._lent, hint, deadline=self.deadlines.transfer)
        except StellatuneError as error:
            self._blame(error)
            raise

    def call(self, request: InstanceRequest) -> Value:
        self._lent.failure = None
        try:
            return super().call(request)
        except StellatuneError as error:
            self._blame(error)
            raise

    def _bind(self) -> None:
        self._read_info = self.method("info")
        self._metadata = self.method("metadata")
        self._read = self.method("read-pcm-f32")
        self._seek = self.method("seek-ms")

    def _answer(self, request: InstanceRequest) -> Value:
        deadline = self.deadlines.transfer
        match request:
            case ReadPcm(max_frames=most):
                return self._pcm(most)
            case SeekTo(position_ms=position):
                self._empty = 0
                unwrap(self._seek(self.resource, position, deadline=deadline))
                return Nothing()
            case ReadInfo():
                return Info(self._known_info())
            case ReadMetadata():
                return Tagged(metadata_of(unwrap(self._metadata(self.resource, deadline=deadline))))
            case _:
                raise self.foreign(request)

    def _known_info(self) -> DecoderInfo:
        """Asked once: a stream's shape does not change, and every read is checked against it."""
        if self._info is None:
            self._info = _info(unwrap(self._read_info(self.resource, deadline=self.deadlines.transfer)))
        return self._info

    def _pcm(self, most: int) -> Pcm:
        channels = self._known_info().spec.channels
        if most < 1:
            raise ValueInvalid(f"{most} frames cannot be read")
        most = min(most, MAX_CHUNK_BYTES // (channels * SAMPLE_BYTES))
        chunk = unwrap(self._read(self.resource, most, deadline=self.deadlines.transfer))
        samples, frames, eof = chunk["interleaved-f32le"], chunk["frames"], chunk["eof"]
        if frames > most:
            raise GuestContract(f"read-pcm-f32 gave {frames} frames where {most} were asked for")
        if len(samples) != frames * channels * SAMPLE_BYTES:
            raise GuestContract(f"read-pcm-f32 gave {len(samples)} bytes for {frames} frames of {channels} channels")
        self._empty = 0 if frames or eof else self._empty + 1
        if self._empty > MAX_EMPTY_READS:
            raise GuestContract(f"read-pcm-f32 gave nothing {self._empty} times in a row, and no end")
        return Pcm(channels, samples, eof)

    def _blame(self, error: StellatuneError) -> None:
        """Where reading the stream failed on the way, that is the cause of whatever the plugin says."""
        failure = self._lent.failure
        if failure is not None and error.__cause__ is None:
            error.__cause__ = failure


def _info(record: Any) -> DecoderInfo:
    spec = audio_spec(record["sample-rate"], record["channels"], "info")
    delay, padding = record["encoder-delay-frames"], record["encoder-padding-frames"]
    if max(delay, padding) > MAX_GAPLESS_FRAMES:
        raise GuestContract(f"info gave {delay} frames of delay and {padding} of padding")
    return DecoderInfo(
        spec=spec,
        duration_ms=duration(record["duration-ms"]),
        seekable=record["seekable"],
        encoder_delay=Frames(delay),
        encoder_padding=Frames(padding),
    )


def make(cell: Cell, arguments: Arguments, streams: StreamTable) -> DecoderInstance:
    """A session.

    Raises:
        ValueInvalid: the arguments are those of another world.
    """
    if not isinstance(arguments, DecoderArguments):
        raise ValueInvalid(f"a decoder session cannot be made from {type(arguments).__name__}")
    return DecoderInstance(cell, arguments, streams)
