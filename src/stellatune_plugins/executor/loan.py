"""A stream of the host's side, lent to a guest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from stellatune_plugins.contract import ByteStream
from stellatune_plugins.errors import PluginFailure, StellatuneError
from stellatune_plugins.host.stream import HostStream

T = TypeVar("T")

CLOSED = "the stream was closed"


class LentStream(HostStream):
    """Any byte stream as a ``host-stream-handle``. Closing it gives it back; the stream itself goes on.

    Whatever the stream raises is an answer to the guest: another plugin that crashed behind it is no reason for this
    one to end. The error itself is kept in :attr:`failure`.

    Args:
        stream: what is lent.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._closed = False
        self._user: int | None = None
        self.failure: Exception | None = None
        """What the stream raised last, and the guest was told in short."""

    def read(self, max_bytes: int) -> bytes:
        return self._answer(lambda: bytes(self._stream.read(max_bytes)))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._answer(lambda: self._stream.seek(offset, whence))

    def tell(self) -> int:
        return self._answer(self._stream.tell)

    def size(self) -> int | None:
        return self._answer(self._stream.size)

    def close(self) -> None:
        """Give it back. Where another thread is inside, which must come out now, the stream itself is closed."""
        self._closed = True
        if self._user not in {None, threading.get_ident()}:
            self._stream.close()

    def _answer(self, function: Callable[[], T]) -> T:
        self._user = threading.get_ident()  # before the look at the flag: a close sees the one or the other
        try:
            self._require_open()
            return function()
        except PluginFailure as error:
            self.failure = error
            raise
        except StellatuneError as error:
            self.failure = error
            raise PluginFailure("io", error.message) from error
        except (OSError, ValueError) as error:
            # A Python file refuses an impossible seek with either of the two, and a closed one with the latter.
            self.failure = error
            raise PluginFailure("io", getattr(error, "strerror", None) or str(error)) from error
        finally:
            self._user = None

    def _require_open(self) -> None:
        if self._closed:
            raise PluginFailure("io", CLOSED)
