"""Values that do not fit: refused, with the path to what is wrong, before anything leaves Python."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wit_values import types, values

from stellatune_plugins.engine.codec import FunctionCodec, Mismatch, encoder
from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    FunctionType,
    HandleTo,
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
from stellatune_plugins.errors import ValueInvalid, WasmInvalid


class NoHandles:
    """A handle space for types without handles."""

    def host_out(self, kind: HandleTo, value: Any, keep: list[Any]) -> int:
        raise AssertionError

    def host_in(self, kind: HandleTo, address: int) -> Any:
        raise AssertionError

    def guest_out(self, kind: HandleTo, value: Any, keep: list[Any]) -> int:
        raise AssertionError

    def guest_in(self, kind: HandleTo, address: int) -> Any:
        raise AssertionError


U8, U32, STRING = Primitive("u8"), Primitive("u32"), Primitive("string")
POINT = RecordOf((("x", U32), ("y-axis", OptionOf(U8))))
SHAPE = VariantOf((("dot", None), ("circle", U32)))
LIMITS = {f"{sign}{bits}": (bits, sign == "s") for bits in (8, 16, 32, 64) for sign in "us"}


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_integers_keep_to_their_range(name: str) -> None:
    """One beyond either end is refused, never cut."""
    bits, is_signed = LIMITS[name]
    lowest = -(1 << (bits - 1)) if is_signed else 0
    highest = lowest + (1 << bits) - 1
    encode = encoder(Primitive(name))
    for good in (lowest, highest):
        assert len(encode(good, [], NoHandles())) == 32
    for bad in (lowest - 1, highest + 1, 1 << 200, -(1 << 200)):
        with pytest.raises(Mismatch, match=f"out of range for {name}"):
            encode(bad, [], NoHandles())


class Number(enum.IntEnum):
    """An integer by another name."""

    TWO = 2


def test_integer_enums_are_integers() -> None:
    """They have a value that fits."""
    assert encoder(U8)(Number.TWO, [], NoHandles()) == encoder(U8)(2, [], NoHandles())


MISFITS: list[tuple[WitType, Any, str]] = [
    (U32, True, ": bool True where u32 is expected"),
    (U32, 1.0, ": float 1.0 where u32 is expected"),
    (U32, "1", ": str where u32 is expected"),
    (U32, None, ": None where u32 is expected"),
    (Primitive("bool"), 1, ": int 1 where bool is expected"),
    (Primitive("f32"), 1e300, "out of range for f32"),
    (Primitive("f32"), "1", "str where f32"),
    (Primitive("f64"), 1 << 2000, "too large for f64"),
    (Primitive("f64"), True, "bool True where f64"),
    (Primitive("char"), "ab", "where one character is expected"),
    (Primitive("char"), "", "where one character is expected"),
    (Primitive("char"), "\ud800", "the surrogate U+D800 is no character"),
    (STRING, b"bytes", "bytes where string is expected"),
    (STRING, "abc\udfff", "a lone surrogate at index 3"),
    (ListOf(U8), "text", "str where bytes are expected"),
    (ListOf(U8), [1, 2], "list where bytes are expected"),
    (ListOf(U8), memoryview(b"abcdef")[::2], "not contiguous"),
    (ListOf(U32), 5, "int 5 where a list is expected"),
    (ListOf(U32), [1, 2, -1], "[2]: -1 is out of range"),
    (ListOf(ListOf(STRING)), [[], ["a", 1]], "[1][1]: int 1 where string"),
    (TupleOf((U32, STRING)), (1,), "a tuple of 1 where one of 2"),
    (TupleOf((U32, STRING)), [1, "a"], "list where a tuple is expected"),
    (TupleOf((U32, STRING)), (1, 2), "[1]: int 2 where string"),
    (POINT, {"x": 1}, ".y-axis: the field is missing"),
    (POINT, {"x": 1, "y-axis": None, "z": 2}, "fields that the record does not have: z"),
    (POINT, {"x": 1, "y-axis": 5}, ".y-axis: int 5 where None or Some(...)"),
    (POINT, {"x": 1, "y-axis": Some(256)}, ".y-axis: 256 is out of range for u8"),
    (POINT, [("x", 1)], "list where a record (a dict) is expected"),
    (SHAPE, "dot", "str where a Variant is expected"),
    (SHAPE, Variant("square"), "no case 'square'; the cases are dot, circle"),
    (SHAPE, Variant("dot", 1), ".dot: the case carries no value"),
    (SHAPE, Variant("circle"), ".circle: None where u32"),
    (EnumOf(("a", "b")), "c", "no case 'c'; the cases are a, b"),
    (EnumOf(("a", "b")), 0, "int 0 where the name of a case is expected"),
    (OptionOf(U32), 5, "int 5 where None or Some(...) is expected"),
    (OptionOf(OptionOf(U32)), Some(5), "int 5 where None or Some(...)"),
    (ResultOf(U32, STRING), 5, "int 5 where Ok(...) or Err(...) is expected"),
    (ResultOf(U32, STRING), None, "None where Ok(...) or Err(...)"),
    (ResultOf(U32, STRING), Ok("x"), ".ok: str where u32"),
    (ResultOf(U32, STRING), Err(1), ".err: int 1 where string"),
    (ResultOf(None, STRING), Ok(1), ".ok: this side of the result carries no value"),
    (FlagsOf(("a", "b")), {"a", "c"}, "no flags 'c'; the flags are a, b"),
    (FlagsOf(("a", "b")), "a", "str where a set of flags"),
    (FlagsOf(("a", "b")), {1}, "no flags 1"),
]


@pytest.mark.parametrize(("kind", "value", "message"), MISFITS, ids=[message for _, _, message in MISFITS])
def test_misfits_are_refused(kind: WitType, value: Any, message: str) -> None:
    """Each says what was found, what was expected, and where."""
    with pytest.raises(Mismatch) as caught:
        encoder(kind)(value, [], NoHandles())
    assert message in str(caught.value)


@pytest.mark.parametrize("payload", [Variant(["dot"]), Variant(None), Variant({})])  # type: ignore[arg-type]
def test_variant_with_a_case_that_is_no_text(payload: Variant) -> None:
    """Unhashable ones included."""
    with pytest.raises(Mismatch, match="no case"):
        encoder(SHAPE)(payload, [], NoHandles())


def test_arguments_are_named_in_the_message() -> None:
    """The path begins with the parameter."""
    codec = FunctionCodec("dsp.create", FunctionType((("spec", POINT), ("mode", EnumOf(("a",)))), None))
    with pytest.raises(ValueInvalid, match=r"spec\.y-axis: 300 is out of range for u8") as caught:
        codec.encode_args(({"x": 1, "y-axis": Some(300)}, "a"), [], NoHandles())
    assert caught.value.operation == "dsp.create"
    with pytest.raises(ValueInvalid, match=r"1 arguments where 2 are expected: \(spec, mode\)"):
        codec.encode_args((1,), [], NoHandles())


def test_a_type_that_cannot_cross_is_refused_when_prepared() -> None:
    """Not at the first call."""
    with pytest.raises(WasmInvalid, match="FutureType cannot cross"):
        FunctionCodec("x", FunctionType((), OptionOf(Unsupported("FutureType"))))


@given(data=st.data())
def test_no_value_of_another_type_passes_unseen(data: st.DataObject) -> None:
    """Anything drawn for one type is taken by another, or refused as a mismatch: never another exception."""
    one, other = data.draw(types), data.draw(types)
    value = data.draw(values(one))
    try:
        image = encoder(other)(value, [], NoHandles())
    except Mismatch:
        image = bytes(32)
    assert len(image) == 32
