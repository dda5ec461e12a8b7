"""Host imports: answers of every shape, and exceptions that never reach wasmtime."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from echo_guests import echo_component

from stellatune_plugins.engine import (
    ComponentInstance,
    Err,
    GuestFunction,
    GuestStore,
    HostImports,
    Ok,
    Some,
    Variant,
    WasmEngine,
)
from stellatune_plugins.engine.codec.function import PLUGIN_ERROR
from stellatune_plugins.engine.wit_types import ListOf, OptionOf, Primitive, ResultOf, TupleOf, WitType
from stellatune_plugins.errors import HostImportFailed, InstanceDead, InstantiateFailed, ValueInvalid

if TYPE_CHECKING:
    from makers import Make

U32, STRING = Primitive("u32"), Primitive("string")
FALLIBLE = ResultOf(OptionOf(STRING), PLUGIN_ERROR)
OTHER_ERROR = ResultOf(U32, STRING)


def echo_with(make: Make, kind: WitType, function: Callable[[Any], Any]) -> tuple[ComponentInstance, Any]:
    """An instance whose one import is ``function``, and the export that calls it."""
    imports = HostImports()
    imports.add("", "x", function)
    instance = make(echo_component([("x", kind)]), imports)
    return instance, instance.function("", "echo-x")


@pytest.mark.parametrize(
    "answer", [Ok(None), Ok(Some("text")), Err(Variant("denied", "no")), Err(Variant("internal", ""))]
)
def test_every_outcome_can_be_answered(make: Make, answer: Ok | Err) -> None:
    """Err for ``result<option<T>, E>`` included, which the stock conversion cannot say."""
    instance, call = echo_with(make, FALLIBLE, lambda _value: answer)
    assert call(Ok(None)) == answer
    assert instance.alive


class Defect(Exception):
    """An error that the host did not expect."""


def raising(error: BaseException) -> Callable[[Any], Any]:
    """A host function with a defect."""

    def function(*_values: Any) -> Any:
        raise error

    return function


def test_an_exception_becomes_the_contracts_error(make: Make) -> None:
    """The guest sees ``internal`` without the host's own words; the caller gets the exception after the call."""
    defect = Defect("secret path")
    seen: list[Any] = []
    imports = HostImports()
    imports.add("", "x", raising(defect))

    def see(value: Any) -> Any:
        seen.append(value)
        return value

    imports.add("", "see", see)
    instance = make(CHAIN, imports)
    with pytest.raises(HostImportFailed, match="Defect: secret path") as caught:
        instance.function("", "go")()
    assert caught.value.__cause__ is defect
    assert caught.value.details["host_import"] == "x"
    assert [value.value.case for value in seen] == ["internal"]
    assert "secret" not in seen[0].value.value
    with pytest.raises(InstanceDead, match="the host import x raised Defect"):
        instance.function("", "go")()


CHAIN = """(component
  (type $e' (variant (case "invalid-arg" string) (case "not-found" string) (case "io" string) (case "timeout" string)
    (case "unsupported" string) (case "denied" string) (case "internal" string)))
  (import "e" (type $e (eq $e')))
  (import "x" (func $x (result (result (error $e)))))
  (import "see" (func $see (param "v" (result (error $e))) (result (result (error $e)))))
  (core module $libc (memory (export "memory") 1) (global $top (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3)))))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (core func $low-x (canon lower (func $x) (memory $memory) (realloc (core func $libc "realloc"))))
  (core func $low-see (canon lower (func $see) (memory $memory) (realloc (core func $libc "realloc"))))
  (core module $m
    (import "h" "x" (func $x (param i32))) (import "h" "see" (func $see (param i32 i32 i32 i32 i32)))
    (import "libc" "memory" (memory 1))
    (func (export "go")
      (call $x (i32.const 64))
      (call $see (i32.load8_u (i32.const 64)) (i32.load8_u (i32.const 68)) (i32.load (i32.const 72))
        (i32.load (i32.const 76)) (i32.const 128))))
  (core instance $i (instantiate $m (with "libc" (instance $libc))
    (with "h" (instance (export "x" (func $low-x)) (export "see" (func $low-see))))))
  (func (export "go") (canon lift (core func $i "go"))))"""
"""Asks ``x`` for a result, and shows it to ``see``."""


def test_the_first_exception_stands(make: Make) -> None:
    """A second one, met on the way out, does not hide it."""
    first, second = Defect("first"), Defect("second")
    imports = HostImports()
    imports.add("", "x", raising(first))
    imports.add("", "see", raising(second))
    with pytest.raises(HostImportFailed) as caught:
        make(CHAIN, imports).function("", "go")()
    assert caught.value.__cause__ is first


# An import without the contract's error has no way to say that it failed.


def test_an_exception_where_the_guest_cannot_be_told(make: Make) -> None:
    """The guest is stopped; the caller gets the exception all the same."""
    for kind, value in ((U32, 1), (OTHER_ERROR, Ok(1))):
        defect = Defect()
        instance, call = echo_with(make, kind, raising(defect))
        with pytest.raises(HostImportFailed) as caught:
            call(value)
        assert caught.value.__cause__ is defect
        assert not instance.alive


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("wit", [U32, FALLIBLE], ids=["plain", "fallible"])
def test_what_ends_the_program_goes_its_own_way(make: Make, kind: type[BaseException], wit: WitType) -> None:
    """Unwrapped: nobody would look for it inside another error. With stock objects this crashes the process."""
    error = kind()
    instance, call = echo_with(make, wit, raising(error))
    with pytest.raises(kind) as caught:
        call(1 if wit is U32 else Ok(None))
    assert caught.value is error
    assert not instance.alive


@pytest.mark.parametrize("answer", [None, "text", Ok(5), Some("x"), Err(Variant("other", "")), Err("denied")])
def test_an_answer_of_the_wrong_shape(make: Make, answer: Any) -> None:
    """Is the host's defect like any other."""
    _, call = echo_with(make, FALLIBLE, lambda _value: answer)
    with pytest.raises(HostImportFailed) as caught:
        call(Ok(None))
    assert isinstance(caught.value.__cause__, ValueInvalid)
    assert "result" in str(caught.value.__cause__)


def test_a_function_that_takes_other_arguments(make: Make) -> None:
    """Is a defect too, not a crash."""
    takes_none: Any = lambda: 1  # noqa: E731 - its signature is what is wrong with it
    _, call = echo_with(make, U32, takes_none)
    with pytest.raises(HostImportFailed, match="TypeError"):
        call(1)


def test_everything_that_is_missing_is_named(make: Make) -> None:
    """At once."""
    text = """(component
      (import "test:host/things@0.1.0" (instance (export "thing" (type (sub resource)))
        (export "make" (func (result u32))) (export "use" (func (param "n" u32)))))
      (import "extra" (func)))"""
    imports = HostImports()
    imports.add("test:host/things@0.1.0", "use", lambda _n: None)
    with pytest.raises(InstantiateFailed) as caught:
        make(text, imports)
    assert sorted(caught.value.details["missing"]) == [
        "extra",
        "test:host/things@0.1.0#make",
        "test:host/things@0.1.0#thing",
    ]


VERSIONED = """(component
  (import "test:host/things@VERSION" (instance $t (export "get" (func (result u32)))))
  (core func $low (canon lower (func $t "get")))
  (core module $m (import "" "get" (func $get (result i32))) (func (export "go") (result i32) (call $get)))
  (core instance $i (instantiate $m (with "" (instance (export "get" (func $low))))))
  (func (export "go") (result u32) (canon lift (core func $i "go"))))"""


@pytest.mark.parametrize(("version", "fits"), [("0.1.0", True), ("0.1.7", True), ("0.2.0", False), ("1.1.0", False)])
def test_compatible_versions_serve_each_other(make: Make, version: str, fits: bool) -> None:
    """Below 1.0 the minor number must agree."""
    imports = HostImports()
    imports.add("test:host/things@0.1.0", "get", lambda: 7)
    text = VERSIONED.replace("VERSION", version)
    if fits:
        assert make(text, imports).function("", "go")() == 7
    else:
        with pytest.raises(InstantiateFailed, match=version):
            make(text, imports)


class Owner:
    """Owns an instance whose imports are its own bound methods: a cycle, as in every cell."""

    def __init__(self, engine: WasmEngine, component: Any) -> None:
        imports = HostImports()
        imports.add("", "x", self.answer)
        self.store = GuestStore(engine)
        self.instance = ComponentInstance(self.store, component, imports, label="owned", deadline=5.0)
        self.call: GuestFunction = self.instance.function("", "echo-x")

    def answer(self, value: Any) -> Any:
        return value


def test_an_owner_is_freed_with_its_instance(guest_engine: WasmEngine, compile_text: Callable[[str], Any]) -> None:
    """Once closed, nothing in wasmtime or in this package keeps it: with stock objects it stays for ever."""
    owner = Owner(guest_engine, compile_text(echo_component([("x", TupleOf((U32, ListOf(STRING))))])))
    assert owner.call((1, ["a"])) == (1, ["a"])
    watched: list[weakref.ref[Any]] = [
        weakref.ref(owner),
        weakref.ref(owner.instance),
        weakref.ref(owner.store),
        weakref.ref(owner.instance.frame),
    ]
    owner.instance.close()
    owner.store.close()
    del owner
    gc.collect()
    assert [ref() for ref in watched] == [None] * 4


def test_a_forgotten_owner_is_found_by_the_collector(
    guest_engine: WasmEngine, compile_text: Callable[[str], Any]
) -> None:
    """Nothing global holds on to it, so forgetting it leaks nothing; a warning says that it was forgotten."""
    component = compile_text(echo_component([("x", U32)]))
    gc.disable()  # nobody but the line below collects
    try:
        owner = Owner(guest_engine, component)
        watched: list[weakref.ref[Any]] = [weakref.ref(owner), weakref.ref(owner.instance), weakref.ref(owner.store)]
        del owner
        with pytest.warns(ResourceWarning, match="never closed"):
            gc.collect()
    finally:
        gc.enable()
    assert [ref() for ref in watched] == [None] * 3
