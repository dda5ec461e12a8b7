"""Every WIT type through a real guest and back, and our codec against the one of wasmtime-py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from echo_guests import echo_component
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wasmtime import component as wc
from wit_values import same, types, values

from stellatune_plugins.contract import wit_folder
from stellatune_plugins.engine import ComponentInstance, Err, GuestStore, HostImports, Ok, Some, Variant, WasmEngine
from stellatune_plugins.engine.wit_text import read_package
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    HandleTo,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)

U8, U32, S64, F32, STRING = (Primitive(name) for name in ("u8", "u32", "s64", "f32", "string"))
FIXED: dict[str, WitType] = {
    **{name: Primitive(name) for name in ("bool", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64")},
    **{name: Primitive(name) for name in ("f32", "f64", "char", "string")},
    "bytes": ListOf(U8),
    "list-of-bytes": ListOf(ListOf(U8)),
    "list-of-strings": ListOf(STRING),
    "pairs": ListOf(TupleOf((STRING, STRING))),
    "wide-flags": FlagsOf(tuple(f"f{index}" for index in range(32))),
    "nested-option": OptionOf(OptionOf(U32)),
    "option-in-result": ResultOf(OptionOf(STRING), STRING),
    "nothing-in-result": ResultOf(None, None),
    "join": VariantOf((("a", F32), ("b", S64), ("c", STRING), ("d", None))),
}


def _contract_types() -> dict[str, WitType]:
    """Every named type of the contract, and every result of its functions that carries no resource."""
    files = [item.read_text() for item in wit_folder().iterdir() if item.name.endswith(".wit")]
    package = read_package(files)
    found: dict[str, WitType] = {}
    for interface, shape in package.interfaces.items():
        for name, kind in shape.types.items():
            found[f"{interface}-{name}"] = kind
        for name, function in shape.functions.items():
            if function.result is not None:
                plain = name.replace("[method]", "").replace(".", "-")
                found[f"{interface}-{plain}"] = function.result
    return {name: kind for name, kind in found.items() if "HandleTo" not in repr(kind)}


CONTRACT = _contract_types()
ALL = {**FIXED, **CONTRACT}


@pytest.fixture(scope="module")
def echoes(guest_engine: WasmEngine, compile_text: Callable[[str], Any]) -> Iterator[ComponentInstance]:
    """A guest that calls the host with what it is given, and gives back what the host answers."""
    imports = HostImports()
    for name in ALL:
        imports.add("", name, lambda value: value)
    component = compile_text(echo_component(ALL.items()))
    with (
        GuestStore(guest_engine, label="echo") as store,
        ComponentInstance(store, component, imports, label="echo", deadline=10.0) as instance,
    ):
        yield instance


def test_contract_has_its_types() -> None:
    """The list below is really the contract's, so no type of it goes untested."""
    assert {"common-plugin-error", "common-media-metadata", "hot-path-core-module-spec"} <= set(CONTRACT)
    assert not any(isinstance(kind, HandleTo) for kind in CONTRACT.values())


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("part", range(4))
def test_values_survive_the_journey(echoes: ComponentInstance, part: int, data: st.DataObject) -> None:
    """Out as an argument, in at an import, out as its answer, in as the result: the same value, of the same class."""
    name = data.draw(st.sampled_from(sorted(ALL)[part::4]))
    value = data.draw(values(ALL[name]))
    assert same(echoes.function("", f"echo-{name}")(value), value)


@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_any_type_survives_the_journey(guest_engine: WasmEngine, data: st.DataObject) -> None:
    """The same for types nobody thought of."""
    from stellatune_plugins.engine.assemble import assemble  # noqa: PLC0415

    kind = data.draw(types)
    imports = HostImports()
    imports.add("", "x", lambda value: value)
    component = wc.Component(guest_engine.raw, assemble(echo_component([("x", kind)])))
    with (
        GuestStore(guest_engine) as store,
        ComponentInstance(store, component, imports, label="echo", deadline=10.0) as instance,
    ):
        echo = instance.function("", "echo-x")
        for _ in range(4):
            value = data.draw(values(kind))
            assert same(echo(value), value)


def to_stock(kind: Any, value: Any) -> Any:  # noqa: PLR0911 - one branch a kind of type
    """Our form of a value as wasmtime-py wants it, which depends on the neighbouring cases."""
    match kind:
        case wc.ListType():
            return value if isinstance(value, bytes) else [to_stock(kind.element, item) for item in value]
        case wc.TupleType():
            return tuple(map(to_stock, kind.elements, value))
        case wc.RecordType():
            record = wc.Record()
            for name, field in kind.fields:
                setattr(record, name, to_stock(field, value[name]))
            return record
        case wc.FlagsType():
            return set(value)
        case wc.VariantType():
            return _case_to_stock(kind, value.case, value.value)
        case wc.OptionType():
            return _case_to_stock(kind, "none" if value is None else "some", None if value is None else value.value)
        case wc.ResultType():
            return _case_to_stock(kind, "ok" if isinstance(value, Ok) else "err", value.value)
    return value


def _case_to_stock(kind: Any, case: str, value: Any) -> Any:
    payload = dict(kind._cases())[case]
    value = None if payload is None else to_stock(payload, value)
    return wc.Variant(case, value) if kind._tagged() else value


def from_stock(kind: WitType, value: Any) -> Any:  # noqa: PLR0911 - one branch a kind of type
    """What wasmtime-py gives where it tags every case; see ``tagged``."""
    match kind:
        case ListOf(Primitive("u8")):
            return value
        case ListOf(element):
            return [from_stock(element, item) for item in value]
        case TupleOf(elements):
            return tuple(map(from_stock, elements, value))
        case RecordOf(fields):
            return {name: from_stock(field, getattr(value, name)) for name, field in fields}
        case FlagsOf():
            return frozenset(value)
        case VariantOf(cases):
            payload = dict(cases)[value.tag]
            return Variant(value.tag, None if payload is None else from_stock(payload, value.payload))
        case OptionOf(payload):
            return None if value.tag == "none" else Some(from_stock(payload, value.payload))
        case ResultOf(ok, err):
            side = ok if value.tag == "ok" else err
            inner = None if side is None else from_stock(side, value.payload)
            return Ok(inner) if value.tag == "ok" else Err(inner)
    return value


@pytest.mark.parametrize("name", sorted(ALL))
def test_agrees_with_the_stock_path(echoes: ComponentInstance, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """wasmtime-py's slow and separate lowering and lifting, on the same export, means the same values."""
    monkeypatch.setattr(wc._types.VariantLikeType, "_tagged", lambda _self: True)
    store = echoes.store
    fast = echoes.function("", f"echo-{name}")
    stock = echoes._raw.get_func(store.raw, f"echo-{name}")
    param = stock.type(store.raw).params[0][1]

    @given(value=values(ALL[name]))
    @settings(max_examples=8)
    def agrees(value: Any) -> None:
        with store.entered(10.0):
            slow = stock(store.raw, to_stock(param, value))
        assert same(from_stock(ALL[name], slow), fast(value))

    agrees()


@pytest.mark.parametrize("size", [0, 1, 4095, 65_536, 1_000_000])
def test_bytes_of_any_size(echoes: ComponentInstance, size: int) -> None:
    """From nothing to a megabyte, and from any bytes-like object."""
    data = bytes(index * 7 % 256 for index in range(size))
    echo = echoes.function("", "echo-bytes")
    assert echo(data) == data
    assert echo(bytearray(data)) == data
    assert echo(memoryview(data)) == data


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@example("\0")
@example("\U0010ffff")
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_text_of_any_kind(echoes: ComponentInstance, text: str) -> None:
    """NUL and the last code point included."""
    assert echoes.function("", "echo-string")(text) == text


def test_enum_members_of_strenum_are_taken(echoes: ComponentInstance) -> None:
    """The model's own enums go out as they are, and come back as plain text."""
    from stellatune_plugins.model import DisableReason  # noqa: PLC0415

    assert isinstance(ALL["lifecycle-disable-reason"], EnumOf)
    assert echoes.function("", "echo-lifecycle-disable-reason")(DisableReason.RELOAD) == "reload"
