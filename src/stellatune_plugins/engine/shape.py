"""A component's imports and exports, read from wasmtime's own type information."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import Any, Final

import wasmtime
from wasmtime import component as wc

from stellatune_plugins.engine.lanes import Lane, lanes_of
from stellatune_plugins.engine.wit_types import (
    ComponentShape,
    EnumOf,
    FlagsOf,
    FunctionType,
    HandleTo,
    InterfaceShape,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    Unsupported,
    VariantOf,
    WitType,
)
from stellatune_plugins.errors import WasmInvalid

_PRIMITIVES: Final[dict[type, str]] = {
    wc.Bool: "bool",
    wc.S8: "s8",
    wc.S16: "s16",
    wc.S32: "s32",
    wc.S64: "s64",
    wc.U8: "u8",
    wc.U16: "u16",
    wc.U32: "u32",
    wc.U64: "u64",
    wc.F32: "f32",
    wc.F64: "f64",
    wc.Char: "char",
    wc.String: "string",
}
_DEEPEST: Final = 64
"""Levels of nesting in one type. The contract needs six; a type built to exhaust the stack is refused."""
_MOST_NODES: Final = 100_000
"""Parts of all types of one component, each counted where it is used: nested pairs of pairs grow without end."""
_MOST_RESOURCES: Final = 1_000

_known: weakref.WeakKeyDictionary[Any, ComponentShape] = weakref.WeakKeyDictionary()


@functools.cache
def _reading_engine() -> Any:
    """The C API wants an engine to list a component's types, and uses it for core types alone: any will do."""
    return wasmtime.Engine()


def component_shape(component: Any) -> ComponentShape:
    """The shape of a ``wasmtime.component.Component``, of the lanes on it nothing; read once for each.

    Raises:
        WasmInvalid: its types are too deep or too many.
    """
    shape = _known.get(component)
    if shape is None:
        shape = _without_lanes(_Reader(_reading_engine()).read(component), lanes_of(component))
        _known[component] = shape
    return shape


def _without_lanes(shape: ComponentShape, lanes: Sequence[Lane]) -> ComponentShape:
    if not lanes:
        return shape
    added = {lane.bulk.lane for lane in lanes}
    return ComponentShape(_without(shape.imports, added), _without(shape.exports, added))


def _without(side: dict[str, InterfaceShape], added: set[str]) -> dict[str, InterfaceShape]:
    side = dict(side)
    root = side.pop("", None)
    if root is not None:
        functions = {name: kind for name, kind in root.functions.items() if name not in added}
        if functions or root.resources or root.types:
            side[""] = InterfaceShape(functions, root.resources, root.types)
    return side


class _Reader:
    """Remembers each resource type under the first interface that shows it: the one that defines it."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._resources: list[tuple[Any, str, bool]] = []
        self._nodes = 0

    def read(self, component: Any) -> ComponentShape:
        kind = component.type
        return ComponentShape(
            self._side(kind.imports(self._engine), exported=False),
            self._side(kind.exports(self._engine), exported=True),
        )

    def _side(self, externs: dict[str, Any], *, exported: bool) -> dict[str, InterfaceShape]:
        shapes: dict[str, InterfaceShape] = {}
        root: dict[str, Any] = {}
        for name, extern in externs.items():
            item = extern.ty
            if isinstance(item, wc.ComponentInstanceType):
                members = {key: value.ty for key, value in item.exports(self._engine).items()}
                shapes[name] = self._interface(name, members, exported=exported)
            else:
                root[name] = item
        if root:
            shapes[""] = self._interface("", root, exported=exported)
        return shapes

    def _interface(self, interface: str, members: dict[str, Any], *, exported: bool) -> InterfaceShape:
        functions: dict[str, FunctionType] = {}
        resources: dict[str, str] = {}
        types: dict[str, WitType] = {}
        for name, item in members.items():
            if isinstance(item, wc.ResourceType):
                found = self._lookup(item)
                if found is None:
                    if len(self._resources) >= _MOST_RESOURCES:
                        raise WasmInvalid(f"the component has more than {_MOST_RESOURCES} resource types")
                    found = (f"{interface}#{name}", exported)
                    self._resources.append((item, *found))
                resources[name] = found[0]
        for name, item in members.items():
            if isinstance(item, wc.FuncType):
                result = item.result
                functions[name] = FunctionType(
                    tuple((param, self._type(kind, 0)) for param, kind in item.params),
                    None if result is None else self._type(result, 0),
                )
            elif isinstance(item, wc.ValType):
                types[name] = self._type(item, 0)
            elif not isinstance(item, wc.ResourceType):
                types[name] = Unsupported(type(item).__name__)
        return InterfaceShape(functions, resources, types)

    def _lookup(self, kind: Any) -> tuple[str, bool] | None:
        for known, name, exported in self._resources:
            if known == kind:
                return name, exported
        return None

    def _handle(self, kind: Any, *, owned: bool) -> WitType:
        found = self._lookup(kind)
        return Unsupported("a resource without a name") if found is None else HandleTo(found[0], owned, found[1])

    def _type(self, kind: Any, depth: int) -> WitType:  # noqa: C901, PLR0911, PLR0912 - one branch a kind of type
        if depth > _DEEPEST:
            raise WasmInvalid(f"a type of the component is nested more than {_DEEPEST} levels deep")
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise WasmInvalid(f"the types of the component have more than {_MOST_NODES} parts")
        primitive = _PRIMITIVES.get(type(kind))
        if primitive is not None:
            return Primitive(primitive)
        deeper = depth + 1
        match kind:
            case wc.ListType():
                return ListOf(self._type(kind.element, deeper))
            case wc.OptionType():
                return OptionOf(self._type(kind.payload, deeper))
            case wc.ResultType():
                ok, err = kind.ok, kind.err
                return ResultOf(
                    None if ok is None else self._type(ok, deeper), None if err is None else self._type(err, deeper)
                )
            case wc.TupleType():
                return TupleOf(tuple(self._type(element, deeper) for element in kind.elements))
            case wc.RecordType():
                return RecordOf(tuple((name, self._type(field, deeper)) for name, field in kind.fields))
            case wc.VariantType():
                return VariantOf(
                    tuple((name, None if case is None else self._type(case, deeper)) for name, case in kind.cases)
                )
            case wc.EnumType():
                return EnumOf(tuple(kind.names))
            case wc.FlagsType():
                return FlagsOf(tuple(kind.names))
            case wc.OwnType():
                return self._handle(kind.ty, owned=True)
            case wc.BorrowType():
                return self._handle(kind.ty, owned=False)
            case _:
                return Unsupported(type(kind).__name__)
