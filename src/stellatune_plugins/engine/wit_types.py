"""WIT types as plain data: what a component says of itself, what the contract says, and what codecs are built from."""

from __future__ import annotations

from typing import Final

import msgspec

PRIMITIVES: Final = frozenset(
    ("bool", "s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64", "f32", "f64", "char", "string")
)


class Primitive(msgspec.Struct, frozen=True):
    """A type that is its own name."""

    name: str

    def __str__(self) -> str:
        return self.name


class ListOf(msgspec.Struct, frozen=True):
    """``list<T>``."""

    element: WitType

    def __str__(self) -> str:
        return f"list<{self.element}>"


class OptionOf(msgspec.Struct, frozen=True):
    """``option<T>``."""

    payload: WitType

    def __str__(self) -> str:
        return f"option<{self.payload}>"


class ResultOf(msgspec.Struct, frozen=True):
    """``result<T, E>``, either of which may be absent."""

    ok: WitType | None
    err: WitType | None

    def __str__(self) -> str:
        if self.err is None:
            return "result" if self.ok is None else f"result<{self.ok}>"
        return f"result<{self.ok or '_'}, {self.err}>"


class TupleOf(msgspec.Struct, frozen=True):
    """``tuple<A, B>``."""

    elements: tuple[WitType, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


class RecordOf(msgspec.Struct, frozen=True):
    """A record; the order of fields is part of the type."""

    fields: tuple[tuple[str, WitType], ...]

    def __str__(self) -> str:
        return "record {" + ", ".join(f"{name}: {kind}" for name, kind in self.fields) + "}"


class VariantOf(msgspec.Struct, frozen=True):
    """A variant; the order of cases is part of the type."""

    cases: tuple[tuple[str, WitType | None], ...]

    def __str__(self) -> str:
        return "variant {" + ", ".join(name if kind is None else f"{name}({kind})" for name, kind in self.cases) + "}"


class EnumOf(msgspec.Struct, frozen=True):
    """An enum; the order of cases is part of the type."""

    cases: tuple[str, ...]

    def __str__(self) -> str:
        return "enum {" + ", ".join(self.cases) + "}"


class FlagsOf(msgspec.Struct, frozen=True):
    """A set of flags; the order of names is part of the type."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "flags {" + ", ".join(self.names) + "}"


class HandleTo(msgspec.Struct, frozen=True):
    """``own<R>`` or ``borrow<R>``.

    Args:
        resource: the interface that defines the resource and the resource's name, joined by ``#``.
        owned: whether the handle moves with the value.
        exported: whether the component itself defines the resource; else the host does.
    """

    resource: str
    owned: bool
    exported: bool = False

    def __str__(self) -> str:
        name = self.resource.rpartition("#")[2]
        return name if self.owned else f"borrow<{name}>"


class Unsupported(msgspec.Struct, frozen=True):
    """A type that no contract of ours uses: futures, streams, error contexts, maps."""

    name: str

    def __str__(self) -> str:
        return self.name


WitType = (
    Primitive
    | ListOf
    | OptionOf
    | ResultOf
    | TupleOf
    | RecordOf
    | VariantOf
    | EnumOf
    | FlagsOf
    | HandleTo
    | Unsupported
)


class FunctionType(msgspec.Struct, frozen=True):
    """A function's parameters, by name and in order, and its result."""

    params: tuple[tuple[str, WitType], ...]
    result: WitType | None

    def __str__(self) -> str:
        text = "func(" + ", ".join(f"{name}: {kind}" for name, kind in self.params) + ")"
        return text if self.result is None else f"{text} -> {self.result}"


class InterfaceShape(msgspec.Struct, frozen=True):
    """What one imported or exported instance holds.

    ``functions`` are keyed as the binary names them: ``create``, ``[method]processor.close``. ``resources`` gives
    each resource's home, as in :class:`HandleTo`: another interface where this one only passes it on.
    """

    functions: dict[str, FunctionType]
    resources: dict[str, str]
    types: dict[str, WitType]


class ComponentShape(msgspec.Struct, frozen=True):
    """All imports and exports of a component; what stands at the root is under the empty name."""

    imports: dict[str, InterfaceShape]
    exports: dict[str, InterfaceShape]
