"""The host's functions and resources, and how a guest reaches them.

One C callback serves all imports of the process. The number it gets names a :class:`BoundImport`, which is held
weakly: what keeps an import alive is its instance, so nothing outlives that, and no owner is kept by its own bound
methods. No exception leaves the callback: it is kept aside in the instance's :class:`CallFrame`, and raised when the
call is over.
"""

from __future__ import annotations

import ctypes
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from wasmtime import component as wc

from stellatune_plugins.engine import component_capi as api
from stellatune_plugins.engine.codec import FunctionCodec, layout
from stellatune_plugins.engine.interrupts import InterruptShield
from stellatune_plugins.engine.plan import ComponentPlan
from stellatune_plugins.engine.resources import HostResource, InstanceHandles, resource_id
from stellatune_plugins.engine.values import Err, Variant
from stellatune_plugins.engine.wasi import is_provided, is_wasi
from stellatune_plugins.engine.wit_names import find_compatible
from stellatune_plugins.errors import GuestContract, InstantiateFailed


def _close(value: Any) -> None:
    close = getattr(value, "close", None)
    if close is not None:
        close()


class HostImports:
    """What the host offers to one component: plain functions by interface and name.

    A function gets its arguments, and gives its result, in the form of :mod:`stellatune_plugins.engine.values`.
    Methods are named as in the binary (``[method]process.wait-exit``) and get the host's object first. A failure
    belongs into an ``Err``; an exception is the host's own defect. It runs while the guest's Store is taken, so it
    must never call that guest.
    """

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, Callable[..., Any]]] = {}
        self.resources: dict[str, dict[str, HostResource]] = {}

    def add(self, interface: str, name: str, function: Callable[..., Any]) -> None:
        """Serve a function; the empty interface is the root."""
        self.functions.setdefault(interface, {})[name] = function

    def add_resource(
        self,
        interface: str,
        name: str,
        kind: type,
        *,
        close: Callable[[Any], None] | None = None,
        waits: bool = True,
    ) -> None:
        """Serve a resource by objects of class ``kind``.

        Args:
            interface: full name with version.
            name: the resource's name in WIT.
            kind: the class; anything else is refused where the resource is expected.
            close: called with an object that the guest dropped, or still held at the end; its own ``close``, where it
                has one, by default.
            waits: whether a call can wait in one, and closing it from another thread ends that.
        """
        self.resources.setdefault(interface, {})[name] = HostResource(kind, close or _close, waits)

    def serving(self, interface: str) -> tuple[dict[str, Callable[..., Any]], dict[str, HostResource]]:
        """What serves an interface that a component imports, perhaps in another compatible version."""
        name = find_compatible(interface, [*self.functions, *self.resources])
        if name is None:
            return {}, {}
        return self.functions.get(name, {}), self.resources.get(name, {})


class CallFrame:
    """What one instance's callbacks share with the call that is in progress."""

    __slots__ = ("__weakref__", "failed_import", "failure", "handles", "shield")

    def __init__(self, handles: InstanceHandles) -> None:
        self.handles = handles
        self.shield = InterruptShield()
        self.failure: BaseException | None = None
        self.failed_import = ""

    def note(self, name: str, error: BaseException) -> None:
        """Keep an exception aside; the first one stands."""
        if self.failure is None:
            self.failure = error
            self.failed_import = name


class BoundImport:
    """One host function, bound to one instance."""

    __slots__ = ("__weakref__", "codec", "frame", "function", "name")

    def __init__(self, name: str, codec: FunctionCodec, function: Callable[..., Any], frame: CallFrame) -> None:
        self.name = name
        self.codec = codec
        self.function = function
        self.frame = frame

    def serve(self, args: int, size: int, results: int) -> int:
        """Run the function on raw arguments and store its raw result; gives an error's address, or 0."""
        handles = self.frame.handles
        try:
            values = self.codec.decode_args(api.read_memory(args, size * layout.VALUE_BYTES), handles)
            answer = self.frame.shield.within_host(self.function, values)
            self._answer(answer, results)
        except BaseException as error:  # noqa: BLE001 - nothing may pass into wasmtime
            self.frame.note(self.name, error)
            if isinstance(error, Exception) and self.codec.answers_plugin_error:
                # The guest gets to know that it failed, never how: the host's own text is none of its business.
                self._answer(Err(Variant("internal", f"the host failed to serve {self.name}")), results)
                return 0
            return int(api.error_new(b"the host failed to serve an import"))
        return 0

    def _answer(self, value: Any, results: int) -> None:
        if self.codec.store_answer(value, results):
            return
        handles = self.frame.handles
        keep: list[Any] = []
        try:
            image = self.codec.encode_answer(value, keep, handles)
        except BaseException:
            handles.take_back(keep, close=True)
            raise
        if image:
            api.val_clone(image, results)
            handles.end_loans(keep)


class RefusedImport:
    """A function that the host knows of and does not provide: calling it ends the call."""

    __slots__ = ("__weakref__", "frame", "name")

    def __init__(self, name: str, frame: CallFrame) -> None:
        self.name = name
        self.frame = frame

    def serve(self, _args: int, _size: int, _results: int) -> int:
        """Refuse."""
        self.frame.note(self.name, GuestContract(f"the guest called {self.name}, which this host does not provide"))
        return int(api.error_new(b"this host does not provide the import"))


_bound: weakref.WeakValueDictionary[int, BoundImport | RefusedImport] = weakref.WeakValueDictionary()
_frames: weakref.WeakValueDictionary[int, CallFrame] = weakref.WeakValueDictionary()
_numbers: Final = itertools.count(1)


def _serve(data: int, _context: int, _type: int, args: int, size: int, results: int, _results_size: int) -> int:
    try:
        bound = _bound.get(data)
        if bound is None:
            return int(api.error_new(b"the host of this import is gone"))
        return bound.serve(args, size, results)
    except BaseException as error:  # noqa: BLE001 - nothing may pass into wasmtime
        bound = _bound.get(data)
        if bound is not None:
            bound.frame.note(bound.name, error)
        return int(api.error_new(b"the host failed to serve an import"))


def _drop(data: int, _context: int, rep: int) -> int:
    try:
        frame = _frames.get(data)
        if frame is not None:
            frame.shield.within_host(frame.handles.table.close, (rep,))
    except BaseException as error:  # noqa: BLE001 - nothing may pass into wasmtime
        frame = _frames.get(data)
        if frame is not None:
            frame.note("the drop of a resource", error)
        return int(api.error_new(b"the host failed to drop a resource"))
    return 0


_serve_callback: Final = api.ImportCallback(_serve)
_drop_callback: Final = api.DestructorCallback(_drop)
_serve_address: Final = ctypes.cast(_serve_callback, ctypes.c_void_p)
_drop_address: Final = ctypes.cast(_drop_callback, ctypes.c_void_p)


class BoundLinker:
    """A linker with everything that one instance of one component needs.

    Args:
        engine: the ``wasmtime.Engine``.
        plan: the component's.
        imports: what the host serves.
        frame: the instance's; must live as long as the instance.

    Raises:
        InstantiateFailed: the component imports what the host does not serve; all of it is named.
    """

    def __init__(self, engine: Any, plan: ComponentPlan, imports: HostImports, frame: CallFrame) -> None:
        self.bound: list[BoundImport | RefusedImport] = []
        self._frame = frame
        self._missing: list[str] = []
        self._frame_number = next(_numbers)
        _frames[self._frame_number] = frame
        self.raw = wc.Linker(engine)
        if plan.imports_wasi:
            self.raw.add_wasip2()
        with self.raw.root() as root:
            for interface in plan.shape.imports:
                if not is_provided(interface):
                    members = (
                        self._refused(plan, interface) if is_wasi(interface) else self._served(plan, interface, imports)
                    )
                    self._define(root, interface, plan.shape.imports[interface].resources, members)
            if not self._missing:
                self._fill(root, {}, self._lanes(plan, imports))
        if self._missing:
            raise InstantiateFailed(
                f"the component imports what this host does not serve: {', '.join(self._missing)}",
                missing=self._missing,
            )

    def _served(self, plan: ComponentPlan, interface: str, imports: HostImports) -> list[tuple[str, BoundImport]]:
        functions, resources = imports.serving(interface)
        shape = plan.shape.imports[interface]
        # A resource that another interface defines is only passed on here, under the same identity.
        own = {name for name, home in shape.resources.items() if home == f"{interface}#{name}"}
        missing = sorted((shape.functions.keys() - functions.keys()) | (own - resources.keys()))
        self._missing += [_label(interface, name) for name in missing]
        return [
            (name, BoundImport(_label(interface, name), plan.import_codec(interface, name), function, self._frame))
            for name in shape.functions
            if (function := functions.get(name)) is not None
        ]

    def _lanes(self, plan: ComponentPlan, imports: HostImports) -> list[tuple[str, BoundImport]]:
        """The same functions once more, under the names and with the codecs of their lanes."""
        return [
            (
                lane.bulk.lane,
                BoundImport(
                    _label(lane.interface, lane.bulk.name),
                    plan.lane_codec(lane),
                    imports.serving(lane.interface)[0][lane.bulk.name],
                    self._frame,
                ),
            )
            for lane in plan.import_lanes
        ]

    def _refused(self, plan: ComponentPlan, interface: str) -> list[tuple[str, RefusedImport]]:
        # Language runtimes import more of WASI than they use (wasi:http). What passes on a resource of preview 2
        # cannot even be refused: wasmtime does not tell the identity of its own resources.
        shape = plan.shape.imports[interface]
        self._missing += [
            _label(interface, name) for name, home in shape.resources.items() if is_provided(home.partition("#")[0])
        ]
        return [(name, RefusedImport(_label(interface, name), self._frame)) for name in shape.functions]

    def _define(
        self,
        root: Any,
        interface: str,
        resources: dict[str, str],
        members: Sequence[tuple[str, BoundImport | RefusedImport]],
    ) -> None:
        if self._missing:
            return
        if interface:
            with root.add_instance(interface) as instance:
                self._fill(instance, resources, members)
        else:
            self._fill(root, resources, members)

    def _fill(
        self, linker: Any, resources: dict[str, str], members: Sequence[tuple[str, BoundImport | RefusedImport]]
    ) -> None:
        address = ctypes.cast(linker.ptr(), ctypes.c_void_p)
        for name, home in resources.items():
            kind = wc.ResourceType.host(resource_id(home))
            raw = name.encode()
            _check(
                api.linker_add_resource(
                    address,
                    raw,
                    len(raw),
                    ctypes.cast(kind.ptr(), ctypes.c_void_p),
                    _drop_address,
                    self._frame_number,
                    None,
                )
            )
        for name, bound in members:
            number = next(_numbers)
            _bound[number] = bound
            self.bound.append(bound)
            raw = name.encode()
            _check(api.linker_add_func(address, raw, len(raw), _serve_address, number, None))

    def close(self) -> None:
        """Free the linker; instances made with it go on."""
        self.raw.close()


def _label(interface: str, name: str) -> str:
    return f"{interface}#{name}" if interface else name


def _check(error: int | None) -> None:
    if error is not None:
        raise InstantiateFailed(f"an import could not be linked: {api.error_text(error)}")
