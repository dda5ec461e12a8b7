"""What all streams have in common: checked arguments, one reader at a time, an end that reaches a waiting read."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Cancel, Gate
from stellatune_plugins.host.egress import ConnectionLost
from stellatune_plugins.host.stream.interface import HostStream

MAX_READ: Final = 1024 * 1024
"""Bytes that one read gives at most, whatever the guest asks for."""
MAX_POSITION: Final = 2**63 - 1


class GuestStream(HostStream):
    """Base of the streams: subclasses have the four methods with an underscore, called by one thread at a time."""

    def __init__(self) -> None:
        self.cancel = Cancel()
        self._gate = Gate(self._end)
        self._ended = Cancel()

    def belong_to(self, owner: Cancel) -> None:
        """End with an owner; at once where that is over."""
        self.when_closed(owner.on_set(self.close))

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Open it within this block; a failure closes it, and is what a guest is told. So may a close meanwhile."""
        try:
            with self._using():
                yield
        except BaseException:
            self.close()
            raise

    def when_closed(self, after: Callable[[], None]) -> None:
        """Have something done once the stream was put away, at once where it was."""
        self._ended.on_set(after)

    def read(self, max_bytes: int) -> bytes:
        with self._using():
            return self._read(min(max_bytes, MAX_READ)) if max_bytes > 0 else b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._using():
            if whence not in {os.SEEK_SET, os.SEEK_CUR, os.SEEK_END}:
                raise PluginFailure("invalid-arg", f"whence is {whence}")
            return self._seek(offset, whence)

    def tell(self) -> int:
        with self._using():
            return self._tell()

    def size(self) -> int | None:
        with self._using():
            return self._size()

    def close(self) -> None:
        self.cancel.set()
        self._gate.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._gate.inside():
            try:
                yield
            except ConnectionLost as lost:
                raise lost.failure() from lost

    def _end(self) -> None:
        try:
            self._put_away()
        finally:
            self._ended.set()

    @abc.abstractmethod
    def _read(self, max_bytes: int) -> bytes:
        """As :meth:`read`, with 1 to :data:`MAX_READ`."""

    @abc.abstractmethod
    def _tell(self) -> int: ...

    @abc.abstractmethod
    def _put_away(self) -> None:
        """Called once, when nobody reads any more."""

    def _seek(self, offset: int, whence: int) -> int:  # noqa: ARG002 - for those that can
        only_forward()

    def _size(self) -> int | None:
        return None


def target(offset: int, whence: int, position: int, size: int | None) -> int:
    """Where a seek leads.

    Raises:
        PluginFailure: ``invalid-arg`` where that is before the start or beyond any file, ``unsupported`` from an end
            that nobody knows.
    """
    if whence == os.SEEK_END:
        if size is None:
            raise PluginFailure("unsupported", "the stream's size is not known, so there is no seeking from its end")
        offset += size
    elif whence == os.SEEK_CUR:
        offset += position
    if not 0 <= offset <= MAX_POSITION:
        raise PluginFailure("invalid-arg", f"seeking to {offset}, which is outside of any file")
    return offset


def only_forward() -> NoReturn:
    """Refuse a seek."""
    raise PluginFailure("unsupported", "the stream only goes forward")
