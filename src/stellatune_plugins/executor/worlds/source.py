"""World ``source-plugin``: one catalogue, and the streams that it opened."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from stellatune_plugins.engine.resources import GuestResource
from stellatune_plugins.errors import GuestContract, PluginFailure, StellatuneError, ValueInvalid
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.guest_text import clean
from stellatune_plugins.executor.messages import (
    Arguments,
    CloseStream,
    Encoded,
    InstanceRequest,
    ListItems,
    Nothing,
    OpenTrack,
    OpenUri,
    ReadStream,
    SourceArguments,
    StreamMetadata,
    StreamOpened,
    Tagged,
    Text,
    Value,
)
from stellatune_plugins.executor.names import SOURCE
from stellatune_plugins.executor.results import optional, unwrap
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.worlds.checks import json_text
from stellatune_plugins.executor.worlds.exported import ExportedInstance
from stellatune_plugins.executor.worlds.metadata import metadata_of
from stellatune_plugins.host.stream import HostStream

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Of one answer to a list request."""
MAX_READ: Final = 256 * 1024
"""Bytes that one read of a processed stream asks for at most."""
MAX_STREAMS: Final = 64
"""Processed streams of one catalogue that are open at once."""
MAX_EMPTY_READS: Final = 64
"""Reads in a row that may give nothing and still not be the end."""
MAX_HINT: Final = 16
"""Characters of a file extension."""


class _Processed:
    """A stream whose bytes the guest itself gives."""

    def __init__(self, resource: GuestResource) -> None:
        self.resource = resource
        self.empty = 0
        self.ended = False


class SourceInstance(ExportedInstance):
    """One ``source.catalog`` in its cell.

    Args:
        cell: its home, enabled; nobody else uses it.
        streams: where streams of the host's go that the guest hands through.
    """

    def __init__(self, cell: Cell, streams: StreamTable) -> None:
        super().__init__(cell, SOURCE, "catalog", "source")
        self._streams = streams
        self._numbers = itertools.count(1)
        self._processed: dict[int, _Processed] = {}
        self._create("source.create", "create", deadline=self.deadlines.query)

    def _bind(self) -> None:
        self._list = self.method("list-items-json")
        self._open_track = self.method("open-stream-json")
        self._open_uri = self.method("open-uri")
        self._stream_metadata = self._of_stream("metadata")
        self._stream_read = self._of_stream("read")
        self._stream_close = self._of_stream("close")

    def _of_stream(self, name: str) -> Callable[..., Any]:
        return self.cell.function(SOURCE, f"[method]source-stream.{name}")

    def _answer(self, request: InstanceRequest) -> Value:
        deadlines = self.deadlines
        match request:
            case ReadStream(stream=number, max_bytes=most):
                return self._read(number, most)
            case ListItems(request_json=asked):
                text = unwrap(self._list(self.resource, asked, deadline=deadlines.query))
                return Text(json_text(text, "list-items-json", MAX_ANSWER_BYTES))
            case OpenTrack(track_json=track):
                return self._opened(self._open_track, track)
            case OpenUri(uri=uri):
                return self._opened(self._open_uri, uri)
            case StreamMetadata(stream=number):
                stream = self._find(number)
                return Tagged(metadata_of(unwrap(self._stream_metadata(stream.resource, deadline=deadlines.transfer))))
            case CloseStream(stream=number):
                self._end(number)
                return Nothing()
            case _:
                raise self.foreign(request)

    def close(self) -> tuple[StellatuneError, ...]:
        """As for every instance; the streams go first, newest first."""
        failures: list[StellatuneError] = []
        while self._processed and not failures:
            try:
                with self.cell.entered("source-stream.close"):
                    self._end(max(self._processed))
            except StellatuneError as error:
                failures.append(error)
        return (*failures, *super().close())

    def _opened(self, function: Callable[..., Any], what: str) -> StreamOpened:
        if len(self._processed) >= MAX_STREAMS:
            raise ValueInvalid(f"{MAX_STREAMS} streams of the catalogue are open already")
        record = unwrap(function(self.resource, what, deadline=self.deadlines.transfer))
        handle = record["handle"]
        try:
            hint = _hint(optional(record["ext-hint"]))
            described = optional(record["metadata"])
            metadata = None if described is None else metadata_of(described)
        except BaseException:
            # What was handed through is ours by now; what the guest gives goes with its cell.
            if handle.case == "passthrough":
                handle.value.close()
            raise
        if handle.case == "passthrough":
            stream: HostStream = handle.value
            return StreamOpened(self._streams.put(stream), processed=False, ext_hint=hint, metadata=metadata)
        number = next(self._numbers)
        self._processed[number] = _Processed(handle.value)
        return StreamOpened(number, processed=True, ext_hint=hint, metadata=metadata)

    def _read(self, number: int, most: int) -> Encoded:
        stream = self._find(number)
        if most < 0:
            raise ValueInvalid(f"{most} bytes cannot be read")
        if stream.ended or most == 0:
            return Encoded(b"", stream.ended)
        most = min(most, MAX_READ)
        chunk = unwrap(self._stream_read(stream.resource, most, deadline=self.deadlines.transfer))
        data, eof = chunk["bytes"], chunk["eof"]
        if len(data) > most:
            raise GuestContract(f"read gave {len(data)} bytes where {most} were asked for")
        stream.empty = 0 if data or eof else stream.empty + 1
        if stream.empty > MAX_EMPTY_READS:
            raise GuestContract(f"read gave nothing {stream.empty} times in a row, and no end")
        stream.ended = eof
        return Encoded(bytes(data), eof)

    def _find(self, number: int) -> _Processed:
        stream = self._processed.get(number)
        if stream is None:
            # A stream of the cell that broke before this one, or one that was closed: harmless to this cell.
            raise PluginFailure("io", "the stream is gone")
        return stream

    def _end(self, number: int) -> None:
        stream = self._processed.pop(number, None)
        if stream is not None:
            self._stream_close(stream.resource, deadline=self.deadlines.drop)
            self.cell.drop(stream.resource)


def _hint(text: str | None) -> str | None:
    """An extension, lower case and without a dot; anything that cannot be one is none."""
    hint = clean(text or "", 64).lower().lstrip(".")
    return hint if 1 <= len(hint) <= MAX_HINT and hint.isascii() and hint.isalnum() else None


def make(cell: Cell, arguments: Arguments, streams: StreamTable) -> SourceInstance:
    """A catalogue.

    Raises:
        ValueInvalid: the arguments are those of another world.
    """
    if not isinstance(arguments, SourceArguments):
        raise ValueInvalid(f"a source catalogue cannot be made from {type(arguments).__name__}")
    return SourceInstance(cell, streams)
