"""Hypothesis strategies for WIT types and for the values of each."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)

RANGES = {
    "u8": (0, 2**8 - 1),
    "u16": (0, 2**16 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "s8": (-(2**7), 2**7 - 1),
    "s16": (-(2**15), 2**15 - 1),
    "s32": (-(2**31), 2**31 - 1),
    "s64": (-(2**63), 2**63 - 1),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def values(kind: WitType) -> st.SearchStrategy[Any]:  # noqa: PLR0911, PLR0912 - one branch a kind of type
    """Values of a type, in the Python form."""
    match kind:
        case Primitive("bool"):
            return st.booleans()
        case Primitive("f32"):
            return st.floats(width=32)
        case Primitive("f64"):
            return st.floats()
        case Primitive("char"):
            return st.characters(exclude_categories=["Cs"])
        case Primitive("string"):
            return TEXT
        case Primitive(name):
            return st.integers(*RANGES[name])
        case ListOf(Primitive("u8")):
            return st.binary(max_size=300)
        case ListOf(element):
            return st.lists(values(element), max_size=5)
        case OptionOf(payload):
            return st.none() | values(payload).map(Some)
        case ResultOf(ok, err):
            good = st.just(Ok()) if ok is None else values(ok).map(Ok)
            bad = st.just(Err()) if err is None else values(err).map(Err)
            return good | bad
        case TupleOf(elements):
            return st.tuples(*map(values, elements))
        case RecordOf(fields):
            return st.fixed_dictionaries({name: values(field) for name, field in fields})
        case VariantOf(cases):
            return st.one_of([_case(name, payload) for name, payload in cases])
        case EnumOf(names):
            return st.sampled_from(names)
        case FlagsOf(names):
            return st.frozensets(st.sampled_from(names))
    raise TypeError(kind)


def _case(name: str, payload: WitType | None) -> st.SearchStrategy[Variant]:
    if payload is None:
        return st.just(Variant(name))
    return values(payload).map(lambda value: Variant(name, value))


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{index}" for index in range(count))


_primitives = st.sampled_from([Primitive(name) for name in (*RANGES, "bool", "f32", "f64", "char", "string")])


def _compound(inner: st.SearchStrategy[WitType]) -> st.SearchStrategy[WitType]:
    optional = st.none() | inner
    return st.one_of(
        inner.map(ListOf),
        inner.map(OptionOf),
        st.builds(ResultOf, optional, optional),
        st.lists(inner, min_size=1, max_size=4).map(lambda types: TupleOf(tuple(types))),
        st.lists(inner, min_size=1, max_size=5).map(
            lambda types: RecordOf(tuple(zip(_names("field-", len(types)), types, strict=True)))
        ),
        st.lists(optional, min_size=1, max_size=5).map(
            lambda types: VariantOf(tuple(zip(_names("case-", len(types)), types, strict=True)))
        ),
        st.integers(1, 9).map(lambda count: EnumOf(_names("name-", count))),
        st.integers(1, 32).map(lambda count: FlagsOf(_names("flag-", count))),
    )


types: st.SearchStrategy[WitType] = st.recursive(_primitives, _compound, max_leaves=6)
"""Any type that echoes can be written for."""


def same(one: Any, other: Any) -> bool:  # noqa: PLR0911 - one branch a kind of value
    """Equality that tells -0.0 from 0.0 and knows that NaN came through as a NaN."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            return math.isnan(one) == math.isnan(other) and (
                math.isnan(one) or (one == other and math.copysign(1, one) == math.copysign(1, other))
            )
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case Some() | Ok() | Err():
            return same(one.value, other.value)
        case Variant():
            return one.case == other.case and same(one.value, other.value)
    return bool(one == other)
