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
    """Owns one wasmtime Store. One call is inside at a time; a second one is an error.

    Args:
        engine: where the code was compiled for.
        limits: see :class:`StoreLimits`.
        label: names the Store in errors.
    """

    def __init__(self, engine: WasmEngine, limits: StoreLimits | None = None, *, label: str = "") -> None:
        self._closed = True  # until it is open
        self.engine = engine
        self.limits = limits or StoreLimits()
        self.label = label
        self.raw: Any = wasmtime.Store(engine.raw)
        self._apply(self.limits)
        self.context: Any = self.raw._context()  # noqa: SLF001 - the pinned package has no public name for it
        self.context_address: int = ctypes.cast(self.context, ctypes.c_void_p).value or 0
        self._ticker = engine.ticker
        self._deadline = (-1, 0)
        self.inside = threading.Lock()
        """Held while a call is inside. For ``with``, after :meth:`require_free`."""
        self._acquire = self.inside.acquire
        self.leave = self.inside.release
        """Give the Store back, after :meth:`enter`. A function of C, so no interrupt comes before its work is done."""
        engine.store_opened()
        self._closed = False

    def _apply(self, limits: StoreLimits) -> None:
        self.raw.set_limits(
            memory_size=limits.memory_bytes,
            table_elements=limits.table_elements,
            instances=limits.instances,
            tables=limits.tables,
            memories=limits.memories,
        )

    def allow_memories(self, count: int) -> None:
        """From here on the Store may have so many memories in all, whatever guests define."""
        self.limits = msgspec.structs.replace(self.limits, memories=count)
        self._apply(self.limits)

    def allow_more(self, *, memories: int, instances: int) -> None:
        """From here on the Store may have so many more, for what the host puts in beside a guest."""
        self.limits = msgspec.structs.replace(
            self.limits, memories=self.limits.memories + memories, instances=self.limits.instances + instances
        )
        self._apply(self.limits)

    @property
    def closed(self) -> bool:
        """Whether the Store is gone."""
        return self._closed

    def require_free(self) -> None:
        """Check that nobody is inside. Two threads that ask at the same moment wait for each other instead.

        Raises:
            StoreMisuse: somebody is inside, or the Store was closed.
        """
        if self._closed or self.inside.locked():
            raise self._misuse()

    def arm(self, ticks: int) -> None:
        """Set the deadline of the call that begins: ``ticks`` epochs from now. To be called from inside.

        A deadline that was set less than an eighth of its time ago stands: setting it costs a third of a call. One
        that has passed is older than that, so it never stands.

        Raises:
            StoreMisuse: the Store was closed.
        """
        if self._closed:
            raise self._misuse()
        set_for, at = self._deadline
        now = self._ticker.count
        if set_for != ticks or now - at > ticks >> 3:
            capi.set_epoch_deadline(self.context_address, ticks)
            self._deadline = (ticks, now)

    def enter(self, ticks: int) -> None:
        """Take the Store for one call, which ends ``ticks`` epochs from now. Pair with :attr:`leave`.

        Raises:
            StoreMisuse: somebody is inside, or the Store was closed; nothing is to be given back.
        """
        self.require_free()
        try:
            taken = self._acquire(False)
        except BaseException:  # an interrupt, which comes when the lock was taken
            self.leave()
            raise
        if not taken:
            raise self._misuse()
        try:
            self.arm(ticks)
        except BaseException:
            self.leave()
            raise

    @contextlib.contextmanager
    def entered(self, deadline: float) -> Iterator[None]:
        """Take the Store for one piece of work; guest code in it is stopped after ``deadline`` seconds."""
        self.require_free()
        with self.inside:
            self.arm(self.engine.ticks(deadline))
            yield

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
        if self.closed:
            return
        self.require_free()
        with self.inside:
            self._closed = True
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
