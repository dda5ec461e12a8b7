"""A wasm source behind the capability interface."""

from __future__ import annotations

import logging
import threading
from typing import TypeVar

from stellatune_plugins.contract import ByteStream
from stellatune_plugins.errors import InstanceDead, PluginFailure, StellatuneError
from stellatune_plugins.executor.client import Executor
from stellatune_plugins.executor.instance_client import WasmInstance
from stellatune_plugins.executor.messages import (
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
)
from stellatune_plugins.model import AbilityKey, MediaMetadata

_log = logging.getLogger(__name__)

V = TypeVar("V")


class WasmSource:
    """Makes catalogues of one ability; serves :class:`~stellatune_plugins.contract.Source`.

    Args:
        executor: where the plugin is active.
        ability: which ability of which plugin.
    """

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        self._executor = executor
        self.ability = ability

    def create(self) -> WasmSourceCatalog:
        """A catalogue, in a cell of its own."""
        return WasmSourceCatalog(self._executor, self.ability)


class WasmSourceCatalog(WasmInstance):
    """One catalogue; serves :class:`~stellatune_plugins.contract.SourceCatalog`.

    A listener browses while a track of the same catalogue is read in another thread, so here one call waits for the
    other, where other instances refuse a second caller.
    """

    def __init__(self, executor: Executor, ability: AbilityKey) -> None:
        self._lock = threading.Lock()
        super().__init__(executor, ability, SourceArguments())

    def list_items_json(self, request_json: str) -> str:
        return self._call(ListItems(request_json), Text).text or ""

    def open_stream_json(self, track_json: str) -> WasmSourceStream:
        return self._opened(OpenTrack(track_json))

    def open_uri(self, uri: str) -> WasmSourceStream:
        return self._opened(OpenUri(uri))

    def _opened(self, request: OpenTrack | OpenUri) -> WasmSourceStream:
        opened = self._call(request, StreamOpened)
        stream = self._processed(opened) if opened.processed else self._executor.streams.take(opened.stream)
        if stream is None:
            raise InstanceDead("the stream that was opened is gone", plugin=self.ability.plugin_id)
        return WasmSourceStream(self, opened, stream)

    def _processed(self, opened: StreamOpened) -> ByteStream:
        return ProcessedStream(self, opened.stream)

    def _end(self, number: int) -> None:
        """Close a processed stream; what goes wrong is logged, for it is gone all the same."""
        try:
            self._call(CloseStream(number), Nothing)
        except StellatuneError as error:
            _log.warning("closing a stream of %s failed: %s", self.ability.plugin_id, error)

    def _call(self, request: InstanceRequest, expected: type[V]) -> V:
        with self._lock:
            return super()._call(request, expected)


class WasmSourceStream:
    """An opened track; serves :class:`~stellatune_plugins.contract.SourceStream`."""

    def __init__(self, catalog: WasmSourceCatalog, opened: StreamOpened, stream: ByteStream) -> None:
        self._catalog = catalog
        self._opened = opened
        self._stream = stream

    def metadata(self) -> MediaMetadata | None:
        """What the source said on opening, or says of the stream; ``None`` where it has nothing to say."""
        if self._opened.metadata is not None:
            return self._opened.metadata.to_model()
        if not self._opened.processed:
            return None
        try:
            tagged = self._catalog._call(StreamMetadata(self._opened.stream), Tagged)  # noqa: SLF001 - one module
        except PluginFailure as error:
            if error.case in {"unsupported", "not-found"}:
                return None
            raise
        return tagged.metadata.to_model()

    def ext_hint(self) -> str | None:
        return self._opened.ext_hint

    def stream(self) -> ByteStream:
        """The bytes; the same stream at every call. Whoever opened the track closes it."""
        return self._stream


class ProcessedStream:
    """Bytes that the source's guest gives; serves :class:`~stellatune_plugins.contract.ByteStream`.

    The contract has no seek for such streams, so it only goes forward, and nobody knows how long it is.
    """

    def __init__(self, catalog: WasmSourceCatalog, number: int) -> None:
        self._catalog = catalog
        self._number = number
        self._position = 0
        self._ended = False
        self._closed = False

    def read(self, max_bytes: int) -> bytes:
        """1 to ``max_bytes`` bytes, as the guest has them; empty at the end.

        Raises:
            PluginFailure: the source's answer, or the stream was closed.
            StellatuneError: the source's cell broke.
        """
        if self._closed:
            raise PluginFailure("io", "the stream was closed", plugin=self._catalog.ability.plugin_id)
        while not self._ended and max_bytes > 0:
            chunk = self._catalog._call(ReadStream(self._number, max_bytes), Encoded)  # noqa: SLF001 - one module
            self._ended = chunk.eof
            self._position += len(chunk.data)
            if chunk.data:
                return chunk.data
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Only to where it is.

        Raises:
            PluginFailure: ``unsupported``.
        """
        if (whence == 0 and offset == self._position) or (whence == 1 and offset == 0):
            return self._position
        raise PluginFailure("unsupported", "the stream only goes forward", plugin=self._catalog.ability.plugin_id)

    def tell(self) -> int:
        return self._position

    def size(self) -> int | None:
        return self._position if self._ended else None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._catalog.closed:
            self._catalog._end(self._number)  # noqa: SLF001 - one module
