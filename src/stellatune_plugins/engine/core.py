"""Core modules: what a hot path is made of."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import wasmtime
from wasmtime import _ffi

from stellatune_plugins.engine import capi
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.engine.traps import error_from_error, error_from_text, error_from_trap
from stellatune_plugins.errors import InstantiateFailed, StoreMisuse

PAGE = 65536

_U32 = 0xFFFF_FFFF


class FunctionType(msgspec.Struct, frozen=True):
    """A core function's signature, each type by its wasm name."""

    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


class MemoryType(msgspec.Struct, frozen=True):
    """A memory's size in pages of 64 KiB."""

    minimum: int
    maximum: int | None


class OtherType(msgspec.Struct, frozen=True):
    """A table, global or tag."""

    kind: str


ExternType = FunctionType | MemoryType | OtherType


def _extern_type(raw: Any) -> ExternType:
    if isinstance(raw, wasmtime.FuncType):
        return FunctionType(tuple(str(t) for t in raw.params), tuple(str(t) for t in raw.results))
    if isinstance(raw, wasmtime.MemoryType):
        return MemoryType(raw.limits.min, raw.limits.max)
    return OtherType(type(raw).__name__.removesuffix("Type").lower())


class CoreModule:
    """Compiled core code and the types at its edge, read once."""

    def __init__(self, raw: wasmtime.Module) -> None:
        self.raw = raw
        self.exports: dict[str, ExternType] = {e.name: _extern_type(e.type) for e in raw.exports}
        self.imports: tuple[tuple[str, str, ExternType], ...] = tuple(
            (i.module, i.name or "", _extern_type(i.type)) for i in raw.imports
        )


class CoreMemory:
    """A linear memory of an instance. Its base address never moves (see ``make_config``)."""

    def __init__(self, store: GuestStore, raw: wasmtime.Memory) -> None:
        if store.closed:
            raise StoreMisuse("the store was closed")
        self._store = store
        self.raw = raw
        self.address: int = capi.memory_data(store.context_address, ctypes.addressof(raw._memory)) or 0  # noqa: SLF001

    def size(self) -> int:
        """Bytes at present; guests may grow it."""
        if self._store.closed:
            raise StoreMisuse("the store was closed")
        return self.raw.size(self._store.raw) * PAGE

    def grow(self, pages: int) -> int:
        """Grow the memory from outside; gives the offset of the first new byte.

        Raises:
            InstantiateFailed: the module's own maximum or the sandbox's limit does not allow it.
        """
        self.size()  # not after the Store was closed
        try:
            return self.raw.grow(self._store.raw, pages) * PAGE
        except wasmtime.WasmtimeError as error:
            raise InstantiateFailed(f"memory cannot grow by {pages} pages", limit=True) from error

    def array(self, dtype: npt.DTypeLike, offset: int, count: int) -> npt.NDArray[Any]:
        """A view of ``count`` items at ``offset``, without a copy. It must not outlive the Store.

        Raises:
            StoreMisuse: the view would reach outside the memory.
        """
        item = np.dtype(dtype)
        if offset < 0 or count < 0 or offset + count * item.itemsize > self.size():
            raise StoreMisuse(f"{count} items of {item} at {offset} lie outside the memory")
        buffer = (ctypes.c_uint8 * (count * item.itemsize)).from_address(self.address + offset)
        return np.ndarray((count,), item, memoryview(buffer))

    def read(self, offset: int, size: int) -> bytes:
        """A copy of some bytes."""
        return bytes(self.array(np.uint8, offset, size))

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes into the memory."""
        self.array(np.uint8, offset, len(data))[:] = np.frombuffer(data, np.uint8)


class RawCall:
    """One function, its arguments and its result in memory prepared beforehand; calling it allocates nothing.

    ``args[2 * i]`` is argument ``i`` as an unsigned number; after the call ``args[0]`` is the result, and the other
    arguments are as they were.
    """

    __slots__ = ("_func", "_inside", "_store", "_trap", "args", "count", "invoke", "operation")

    def __init__(self, store: GuestStore, func: wasmtime.Func, kind: FunctionType, operation: str) -> None:
        self._store = store
        self._inside = store.inside
        self._func = func
        self.operation = operation
        self.count = max(len(kind.params), len(kind.results), 1)
        self.args = (ctypes.c_uint64 * (2 * self.count))()  # a slot has 16 bytes: wasmtime_val_raw_t holds a v128
        self._trap = ctypes.c_void_p()
        self.invoke = functools.partial(
            capi.func_call_unchecked,
            store.context_address,
            ctypes.addressof(func._func),  # noqa: SLF001 - the pinned package has no public name for it
            ctypes.addressof(self.args),
            self.count,
            ctypes.addressof(self._trap),
        )

    def __call__(self, ticks: int) -> None:
        """Run the function, for at most ``ticks`` epochs.

        Raises:
            GuestTrap: the guest trapped; its instance must not be used again.
            CallDeadline: it ran too long; likewise.
            StoreMisuse: somebody else is inside the Store, or it was closed.
        """
        self._store.require_free()
        try:
            with self._inside:
                self._store.arm(ticks)
                error = self.invoke()
        except BaseException:
            self.discard()
            raise
        if error is not None or self._trap.value is not None:
            raise self._failure(error)

    @property
    def trapped(self) -> bool:
        """Whether the last ``invoke`` left a trap."""
        return self._trap.value is not None

    def check(self, error: int | None) -> None:
        """After an ``invoke`` of the caller's own, which has the Store to itself and armed it.

        Args:
            error: what ``invoke`` gave.

        Raises:
            GuestTrap, CallDeadline: as a call does.
        """
        if error is not None or self._trap.value is not None:
            raise self._failure(error)

    def discard(self) -> None:
        """After an interrupt: what the guest did meanwhile must not be the next call's failure."""
        if self._trap.value is not None:
            self._failure(None)

    def _failure(self, error: int | None) -> Exception:
        trap, self._trap.value = self._trap.value, None
        if trap is not None:
            return error_from_trap(trap, self.operation)
        assert error is not None  # noqa: S101 - the caller saw one of the two
        return error_from_error(error, self.operation)


class CoreInstance:
    """An instance of a core module in a Store.

    Args:
        store: where it lives; it cannot leave it.
        module: the code.
        imports: what it imports, by module and name.
        deadline: seconds that its start function may take.
    """

    def __init__(
        self,
        store: GuestStore,
        module: CoreModule,
        imports: Mapping[tuple[str, str], Any] | None = None,
        *,
        deadline: float = 1.0,
    ) -> None:
        self.store = store
        self.module = module
        given = imports or {}
        missing = [f"{m}.{n}" for m, n, _ in module.imports if (m, n) not in given]
        if missing:
            raise InstantiateFailed(f"the module imports what this host does not give: {', '.join(missing)}")
        externs = (_ffi.wasmtime_extern_t * len(module.imports))()
        keep = []
        for index, (module_name, name, _) in enumerate(module.imports):
            extern = given[module_name, name]
            keep.append(extern)
            externs[index] = extern._as_extern()  # noqa: SLF001 - the pinned package has no public name for it
        self._raw = _ffi.wasmtime_instance_t()
        trap = ctypes.POINTER(_ffi.wasm_trap_t)()
        with store.entered(deadline):
            error = _ffi.wasmtime_instance_new(
                store.context, module.raw.ptr(), externs, len(externs), ctypes.byref(self._raw), ctypes.byref(trap)
            )
        if trap:
            raise error_from_trap(ctypes.cast(trap, ctypes.c_void_p).value or 0, "instantiate")
        if error:
            text = str(wasmtime.WasmtimeError._from_ptr(error))  # noqa: SLF001
            failure = error_from_text(text, "instantiate")
            if failure.details.get("trap") == "error":
                first = text.strip().splitlines()[0]
                failure = InstantiateFailed(f"the module cannot be instantiated: {first}", operation="instantiate")
            raise failure
        self._exports = wasmtime.Instance._from_raw(self._raw).exports(store.raw)  # noqa: SLF001

    def raw_export(self, name: str) -> Any:
        """The wasmtime object behind an export, to be another instance's import."""
        return self._exports[name]

    def memory(self, name: str) -> CoreMemory:
        """An exported memory."""
        if self.store.closed:
            raise StoreMisuse("the store was closed")
        raw = self._exports[name]
        if not isinstance(raw, wasmtime.Memory):
            raise InstantiateFailed(f"export {name} is no memory")
        return CoreMemory(self.store, raw)

    def call(self, name: str, operation: str | None = None) -> RawCall:
        """A prepared call of an exported function."""
        if self.store.closed:
            raise StoreMisuse("the store was closed")
        kind, raw = self.module.exports[name], self._exports[name]
        if not isinstance(kind, FunctionType) or not isinstance(raw, wasmtime.Func):
            raise InstantiateFailed(f"export {name} is no function")
        return RawCall(self.store, raw, kind, operation or name)

    def call_i32(self, name: str, *args: int, deadline: float, operation: str | None = None) -> int:
        """Call a function of i32 arguments once, outside the hot path; gives its i32 result, or 0 without one."""
        prepared = self.call(name, operation)
        for index, value in enumerate(args):
            prepared.args[2 * index] = value & _U32
        prepared(self.store.engine.ticks(deadline))
        kind = self.module.exports[name]
        if not isinstance(kind, FunctionType) or not kind.results:
            return 0
        return signed(prepared.args[0])


def signed(value: int) -> int:
    """The low 32 bits as a signed number."""
    value &= _U32
    return value - (1 << 32) if value >> 31 else value
