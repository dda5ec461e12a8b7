"""A Store with one owner, limits and deadlines."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import msgspec
import wasmtime

from stellatune_plugins.engine import capi
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import StoreMisuse


class StoreLimits(msgspec.Struct, frozen=True):
    """What all guests of one Store may take. wasmtime applies ``memory_bytes`` to each memory by itself."""

    memory_bytes: int = 256 * 1024 * 1024
    table_elements: int = 100_000
    instances: int = 64
    tables: int = 64
    memories: int = 64


class GuestStore:
    """Owns one wasmtime Store. At most one thread is inside at a time, and never twice; a breach is an error.

    Args:
        engine: where the code was compiled for.
        limits: see :class:`StoreLimits`.
        label: names the Store in errors.
    """

    def __init__(self, engine: WasmEngine, limits: StoreLimits | None = None, *, label: str = "") -> None:
        self.engine = engine
        self.limits = limits or StoreLimits()
        self.label = label
        self.raw: Any = wasmtime.Store(engine.raw)
        self.raw.set_limits(
            memory_size=self.limits.memory_bytes,
            table_elements=self.limits.table_elements,
            instances=self.limits.instances,
            tables=self.limits.tables,
            memories=self.limits.memories,
        )
        self.context: Any = self.raw._context()  # noqa: SLF001 - the pinned package has no public name for it
        self.context_address: int = ctypes.cast(self.context, ctypes.c_void_p).value or 0
        self._ticker = engine.ticker
        self._deadline = (-1, 0)
        self._inside = threading.Lock()
        self._acquire = self._inside.acquire
        self.leave = self._inside.release
        """Give the Store back, after :meth:`enter`."""
        self._closed = False
        engine.store_opened()

    @property
    def closed(self) -> bool:
        """Whether the Store is gone."""
        return self._closed

    def enter(self, ticks: int) -> None:
        """Take the Store for one call, which ends ``ticks`` epochs from now. Pair with :meth:`leave`.

        A deadline that was set less than an eighth of its time ago stands: setting it costs a third of a call. One
        that has passed is older than that, so it never stands.

        Raises:
            StoreMisuse: somebody is inside, or the Store was closed.
        """
        if not self._acquire(False):
            raise self._misuse()
        set_for, at = self._deadline
        now = self._ticker.count
        if set_for != ticks or now - at > ticks >> 3:
            capi.set_epoch_deadline(self.context_address, ticks)
            self._deadline = (ticks, now)

    @contextlib.contextmanager
    def entered(self, deadline: float) -> Iterator[None]:
        """Take the Store for a while; guest code in it is stopped after ``deadline`` seconds."""
        self.enter(self.engine.ticks(deadline))
        try:
            yield
        finally:
            self.leave()

    def _misuse(self) -> StoreMisuse:
        name = f"store {self.label!r}" if self.label else "the store"
        if self._closed:
            return StoreMisuse(f"{name} was closed")
        return StoreMisuse(
            f"{name} is in use: a Store belongs to one call at a time",
            hint="give each thread its own instance, and never call a guest from within its own import",
        )

    def close(self) -> None:
        """Free everything that lives in the Store. May be called again.

        Raises:
            StoreMisuse: a call is still inside.
        """
        if self._closed:
            return
        if not self._inside.acquire(blocking=False):
            raise self._misuse()
        self._closed = True  # the lock stays taken, so no call can enter any more
        self.context_address = 0
        self.context = None
        self.raw.close()
        self.raw = None
        self.engine.store_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"store {self.label!r} was never closed", ResourceWarning, stacklevel=1, source=self)
            self.close()
