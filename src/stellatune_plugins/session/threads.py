"""Decode ahead, write behind: the two helpers that let a render's parts overlap."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

DEPTH = 4
"""Items that wait between two threads: enough to even out, little enough to keep memory flat."""
_POLL_S = 0.1


class Reader(Protocol[T_co]):
    """Items, one after the other."""

    def __iter__(self) -> Iterator[T_co]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Writer(Protocol[T_contra]):
    """Takes items, one after the other."""

    def put(self, item: T_contra) -> None: ...

    def finish(self) -> None:
        """Wait until every item was taken."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _End:
    """The last thing in a queue: nothing more comes, or why."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Ahead(Generic[T]):
    """Runs an iterator in a thread of its own, a few items ahead. What it raises comes out at its place."""

    def __init__(self, items: Iterator[T], name: str) -> None:
        self._items = items
        self._queue: queue.Queue[T | _End] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _run(self) -> None:
        end = _End(None)
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that iterates
            end = _End(error)
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_S)
                return True
        return False


class Behind(Generic[T]):
    """Hands items to a function in a thread of its own. What it raises comes out of the next ``put`` or ``finish``."""

    def __init__(self, take: Callable[[T], object], name: str) -> None:
        self._take = take
        self._queue: queue.Queue[T | _End] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(_End(None))
        self._thread.join()

    def put(self, item: T) -> None:
        """Queue an item; waits while too many wait already."""
        self._offer(item)

    def finish(self) -> None:
        """Wait until every item was taken."""
        self._offer(_End(None))
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _offer(self, item: T | _End) -> None:
        while True:
            if self._error is not None:
                raise self._error
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_S)
                return

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                item = self._queue.get()
                if isinstance(item, _End):
                    return
                self._take(item)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that puts
            self._error = error


class Inline(Generic[T]):
    """The same interfaces without a thread."""

    def __init__(self, items: Iterator[T] | None = None, take: Callable[[T], object] | None = None) -> None:
        self._items = items
        self._take = take

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __iter__(self) -> Iterator[T]:
        return iter(()) if self._items is None else self._items

    def put(self, item: T) -> None:
        """Hand it on at once."""
        if self._take is not None:
            self._take(item)

    def finish(self) -> None:
        """Everything was taken already."""
