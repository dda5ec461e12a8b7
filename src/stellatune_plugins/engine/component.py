"""One instance of one component in one Store."""

from __future__ import annotations

import ctypes
import time
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from wasmtime import _ffi
from wasmtime import component as wc

from stellatune_plugins.engine import component_capi as api
from stellatune_plugins.engine import lanes
from stellatune_plugins.engine.function import GuestFunction
from stellatune_plugins.engine.linker import BoundLinker, CallFrame, HostImports
from stellatune_plugins.engine.plan import plan_of
from stellatune_plugins.engine.resources import AnyBox, HostResource, InstanceHandles
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.engine.traps import error_from_text, reason_of
from stellatune_plugins.engine.wasi import OutputTap, grant_nothing
from stellatune_plugins.engine.wit_types import ComponentShape
from stellatune_plugins.errors import (
    GuestContract,
    GuestTrap,
    HostImportFailed,
    InstanceDead,
    InstantiateFailed,
    StellatuneError,
    StoreMisuse,
)

__all__ = ["ComponentInstance", "HostImports"]

_INSTANTIATE: Final = "instantiate"
_COPY_LIMIT: Final = "too much data is being copied"

_spent: weakref.WeakSet[GuestStore] = weakref.WeakSet()
"""Stores in which a component failed. wasmtime marks them so too, and has no way to ask."""


class ComponentInstance:
    """An instance, with the handles that it and the host hold of each other.

    It dies of a trap, a missed deadline, a result that cannot be read, or an exception in a host import; after that
    every call raises ``InstanceDead``. Its Store dies with it: after a trap wasmtime lets nobody enter any component
    in the same Store, so a successor needs a Store of its own. (Core modules in the Store go on.)

    Args:
        store: where it lives; closed by its owner, after the instance.
        component: a ``wasmtime.component.Component`` compiled for the Store's engine.
        imports: what the host serves.
        label: names it in errors and logs.
        deadline: seconds, for instantiation and by default for every call.
        on_output: gets ``"stdout"`` or ``"stderr"`` and bytes, on another thread; must only enqueue. Output is
            discarded without it.

    Raises:
        StoreMisuse: a component failed in this Store before.
        InstantiateFailed: an import is not served, or a limit is too small.
        GuestTrap, CallDeadline, HostImportFailed: its start code failed.
    """

    def __init__(
        self,
        store: GuestStore,
        component: Any,
        imports: HostImports,
        *,
        label: str,
        deadline: float,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._closed = True  # nothing to close before it is made
        if store in _spent:
            raise StoreMisuse("a component failed in this Store, which takes no other now: make a new one")
        self.store = store
        self.label = label
        self.deadline = deadline
        self.ticks = store.engine.ticks(deadline)
        self.dead_because: str | None = None
        self.close_failures: tuple[BaseException, ...] = ()
        self._component = component
        self._plan = plan_of(component)
        hosts: dict[str, HostResource] = {}
        for interface, shape in self._plan.shape.imports.items():
            served = imports.serving(interface)[1]
            hosts.update({home: served[name] for name, home in shape.resources.items() if name in served})
        self.handles = InstanceHandles(self, hosts)
        self.frame = CallFrame(self.handles)
        if self._plan.has_lanes:
            store.allow_more(memories=lanes.MEMORIES, instances=lanes.INSTANCES)
        self._tap = OutputTap(on_output) if on_output is not None and self._plan.imports_wasi else None
        linker = BoundLinker(store.engine.raw, self._plan, imports, self.frame)
        try:
            self._bound = linker.bound
            self._raw = self._instantiate(linker)
        except BaseException:
            self._sweep([])
            raise
        finally:
            linker.close()
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self.dead_because is None

    @property
    def shape(self) -> ComponentShape:
        """The component's imports and exports."""
        return self._plan.shape

    @property
    def output_failure(self) -> BaseException | None:
        """What ``on_output`` raised; the capture ended there."""
        return self._tap.failure if self._tap else None

    @property
    def held_resources(self) -> int:
        """How many of the host's objects the guest holds."""
        return len(self.handles.table)

    def function(self, interface: str, name: str) -> GuestFunction:
        """Prepare a call.

        Args:
            interface: full name; an export of another compatible version will do. Empty for the component's root.
            name: as in the binary: ``create``, ``[method]processor.close``.

        Raises:
            WorldMismatch: the component does not export it.
            WasmInvalid: it uses a type that cannot cross the boundary.
        """
        found, codec = self._plan.export_codec(interface, name)
        lane = self._plan.export_lane(found, name)
        if lane is not None:
            codec = self._plan.lane_codec(lane)
            index = self._component.get_export_index(lane.bulk.lane)
        else:
            parent = self._component.get_export_index(found) if found else None
            index = self._component.get_export_index(name, parent)
        with self.store.entered(self.deadline):
            function = self._raw.get_func(self.store.raw, index)
        return GuestFunction(self, codec, function._func)  # noqa: SLF001 - the pinned package has no public name for it

    def resource_method(self, interface: str, resource: str, method: str) -> GuestFunction:
        """Prepare a call of a resource's method; the resource is the first argument."""
        return self.function(interface, f"[method]{resource}.{method}")

    def _instantiate(self, linker: BoundLinker) -> Any:
        raw = _ffi.wasmtime_component_instance_t()
        with self.store.entered(self.deadline):
            if self._plan.imports_wasi:
                grant_nothing(self.store.raw, self._tap)
            error = self.guarded(api.linker_instantiate)(
                ctypes.cast(linker.raw.ptr(), ctypes.c_void_p),
                self.store.context_address,
                ctypes.cast(self._component.ptr(), ctypes.c_void_p),
                ctypes.addressof(raw),
            )
        if error is not None or self.frame.failure is not None:
            raise self.failed(error, _INSTANTIATE)
        return wc.Instance._from_raw(raw)  # noqa: SLF001 - the pinned package has no public name for it

    def guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, shielded from interrupts where guest code can come back into Python."""
        if not self._plan.imports_functions:
            return call
        run = self.frame.shield.run
        return lambda *args: run(call, *args)

    def interrupt(self) -> tuple[BaseException, ...]:
        """Close the host's objects that a call may be waiting in, from any thread, so that it returns.

        Gives what went wrong. The guest goes on, with objects that are closed.
        """
        return tuple(self.handles.interrupt())

    def die(self, reason: str) -> None:
        """No call can be made any more; the first reason stands."""
        if self.dead_because is None:
            self.dead_because = reason

    def failed(self, error: int | None, operation: str) -> BaseException:
        """The instance dies of a failed call; gives what to raise.

        Args:
            error: address of the ``wasmtime_error_t``, which is deleted, if there is one.
            operation: what was called.
        """
        text = "" if error is None else api.error_text(error)
        failure = self.frame.failure
        if error is not None and operation != _INSTANTIATE and self.store in _spent:
            self.die("another instance in its Store failed")
            return InstanceDead(f"the instance is dead: {self.dead_because}", operation=operation)
        if error is not None:
            _spent.add(self.store)
        if failure is None:
            found = self._guest_error(text, operation)
            self.die(f"{operation}: {found.message}")
            return found
        self.die(f"{operation}: the host import {self.frame.failed_import} raised {type(failure).__name__}")
        if not isinstance(failure, Exception):
            return failure  # Ctrl-C and the end of the process go their own way
        if isinstance(failure, GuestContract):
            failure.at(operation=operation)
            return failure
        raised = HostImportFailed(
            f"the host import {self.frame.failed_import} raised {type(failure).__name__}: {failure}",
            operation=operation,
            host_import=self.frame.failed_import,
        )
        raised.__cause__ = failure
        return raised

    def _guest_error(self, text: str, operation: str) -> StellatuneError:
        if _COPY_LIMIT in reason_of(text):
            return GuestContract("the guest passed more data than one call may carry", operation=operation)
        # A backtrace has names of the guest's choice in it; the reason behind it is wasmtime's own.
        reason = text.rpartition("Caused by:")[2].strip()
        error = error_from_text(text if "wasm trap:" in reason else reason, operation)
        if isinstance(error, GuestTrap) and error.details["trap"] == "error":
            first = reason.partition("\n")[0]
            if operation == _INSTANTIATE:
                return InstantiateFailed(f"the component cannot be instantiated: {first}", operation=operation)
            return GuestContract(f"the guest broke the rules of the component model: {first}", operation=operation)
        return error

    def drop_box(self, operation: str, box: AnyBox, deadline: float | None = None) -> None:
        """Drop a guest's resource; its destructor runs."""
        ticks = self.ticks if deadline is None else self.store.engine.ticks(deadline)
        self.store.enter(ticks)
        try:
            error = self.guarded(api.resource_any_drop)(self.store.context_address, box.address)
            if error is not None or self.frame.failure is not None:
                raise self.failed(error, operation)
        finally:
            self.store.leave()

    def close(self) -> None:
        """Drop the guest's resources that the host still holds, then close the host's that the guest still holds.

        May be called again. What fails on the way stops nothing, and is left in ``close_failures``.

        Raises:
            StoreMisuse: a call is still inside; nothing was done.
            BaseException: an interrupt that arrived meanwhile, once everything is closed.
        """
        if self._closed:
            return
        failures: list[BaseException] = []
        self._drop_live(failures)
        self._closed = True
        self.die("it was closed")
        self._sweep(failures)
        self.close_failures = tuple(failures)
        for failure in failures:
            if not isinstance(failure, Exception):
                raise failure

    def _drop_live(self, failures: list[BaseException]) -> None:
        if self.store.closed:
            return
        with self.store.entered(self.deadline):
            pass  # refuses to close under a call that is in progress
        end = time.monotonic() + self.deadline
        while self.alive and (box := self.handles.pop_live()) is not None:
            left = end - time.monotonic()
            if left <= 0:
                self.die("its resources took too long to drop")
                break
            try:
                self.drop_box("drop at close", box, left)
            except BaseException as error:  # noqa: BLE001 - the rest is closed too, and all of them are reported
                failures.append(error)

    def _sweep(self, failures: list[BaseException]) -> None:
        self.handles.clear()
        failures += self.handles.table.sweep()
        if self._tap is not None:
            self._tap.close()
        self._bound = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"instance {self.label!r} was never closed", ResourceWarning, stacklevel=1, source=self)
            self.handles.table.sweep()
