"""Core modules: their types, their memory, their calls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreInstance, FunctionType, MemoryType, OtherType, signed
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import InstantiateFailed, StoreMisuse

GUEST = """(module (memory (export "memory") 1 4) (global (export "g") i32 (i32.const 1))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64 f32) (result f64) (f64.const 0)))"""


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine for the module."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture
def instance(engine: WasmEngine) -> Iterator[CoreInstance]:
    """An instance of the guest."""
    with GuestStore(engine) as store:
        yield CoreInstance(store, compile_trusted(engine, GUEST))


def test_exports_have_types(instance: CoreInstance) -> None:
    """Read once, by their wasm names."""
    assert instance.module.exports == {
        "memory": MemoryType(1, 4),
        "g": OtherType("global"),
        "add": FunctionType(("i32", "i32"), ("i32",)),
        "wide": FunctionType(("i64", "f32"), ("f64",)),
    }


@pytest.mark.parametrize(("a", "b"), [(1, 2), (-1, -1), (0x7FFFFFFF, 1), (-(1 << 31), -1)])
def test_a_call_adds_as_wasm_does(instance: CoreInstance, a: int, b: int) -> None:
    """Signed 32-bit arithmetic that wraps."""
    assert instance.call_i32("add", a, b, deadline=1) == signed(a + b)


@given(st.integers(-(1 << 31), (1 << 32) - 1))
def test_signed_keeps_the_bits(value: int) -> None:
    """The same 32 bits, read as a signed number."""
    assert (signed(value) - value) % (1 << 32) == 0
    assert -(1 << 31) <= signed(value) < 1 << 31


def test_memory_is_shared_without_a_copy(instance: CoreInstance) -> None:
    """What is written through a view is there for the guest."""
    memory = instance.memory("memory")
    memory.array(np.float32, 16, 3)[:] = (1, 2, 3)
    assert memory.read(16, 12) == np.array([1, 2, 3], np.float32).tobytes()


@pytest.mark.parametrize(("offset", "size"), [(65536, 1), (65535, 2), (-1, 1), (0, 65537), (1 << 40, 1)])
def test_a_view_outside_the_memory_is_refused(instance: CoreInstance, offset: int, size: int) -> None:
    """An error instead of another's bytes."""
    with pytest.raises(StoreMisuse):
        instance.memory("memory").read(offset, size)


def test_memory_grows_from_outside_and_stays_in_place(instance: CoreInstance) -> None:
    """The base address holds, so views stay valid."""
    memory = instance.memory("memory")
    before = memory.address
    assert memory.grow(2) == 65536
    assert memory.size() == 3 * 65536
    assert instance.memory("memory").address == before


def test_memory_does_not_grow_past_its_maximum(instance: CoreInstance) -> None:
    """The module's own maximum holds for the host too."""
    with pytest.raises(InstantiateFailed):
        instance.memory("memory").grow(100)


def test_the_wrong_kind_of_export_is_an_error(instance: CoreInstance) -> None:
    """A function is no memory."""
    with pytest.raises(InstantiateFailed):
        instance.memory("add")
    with pytest.raises(InstantiateFailed):
        instance.call("memory")


def test_missing_imports_are_named(engine: WasmEngine) -> None:
    """Each by module and name."""
    needs = compile_trusted(engine, '(module (import "env" "f" (func)) (import "env" "m" (memory 1)))')
    with GuestStore(engine) as store, pytest.raises(InstantiateFailed, match=r"env\.f, env\.m"):
        CoreInstance(store, needs)


def test_an_import_of_the_wrong_type_is_an_error(engine: WasmEngine, instance: CoreInstance) -> None:
    """Linking checks types; the error is ours."""
    needs = compile_trusted(engine, '(module (import "env" "f" (func (param i64))))')
    with pytest.raises(InstantiateFailed):
        CoreInstance(instance.store, needs, {("env", "f"): instance.raw_export("add")})
