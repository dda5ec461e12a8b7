"""Streams that cross the executor's contract: messages name them by number."""

from __future__ import annotations

import itertools
import threading

from stellatune_plugins.contract import ByteStream
from stellatune_plugins.errors import InstanceDead


class StreamTable:
    """The one thing beside messages that caller and executor share, in both directions.

    A caller puts in what a decoder is to read, and takes it out when its session is over. The executor puts in what
    a source handed through, and the caller takes that out. With an executor in another process, this table is what
    a ring stands behind: it holds nothing but byte streams (ADR 0020).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._streams: dict[int, ByteStream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def put(self, stream: ByteStream) -> int:
        """Lend a stream; gives its number, which is never used twice."""
        with self._lock:
            number = next(self._numbers)
            self._streams[number] = stream
            return number

    def get(self, number: int) -> ByteStream:
        """The stream, which stays where it is.

        Raises:
            InstanceDead: there is none of this number any more.
        """
        with self._lock:
            stream = self._streams.get(number)
        if stream is None:
            raise InstanceDead("there is no such stream any more", stream=number)
        return stream

    def take(self, number: int) -> ByteStream | None:
        """The stream, which is the caller's from here on; ``None`` where it was taken before."""
        with self._lock:
            return self._streams.pop(number, None)
