"""A Store has one owner, limits and deadlines."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreInstance, CoreModule
from stellatune_plugins.engine.store import GuestStore, StoreLimits
from stellatune_plugins.errors import CallDeadline, GuestTrap, InstantiateFailed, StoreMisuse

GUEST = """(module (memory (export "memory") 1)
  (func (export "spin") (loop (br 0)))
  (func (export "boom") (unreachable))
  (func (export "seven") (result i32) (i32.const 7))
  (func $deep (export "deep") (result i32) (i32.add (call $deep) (i32.const 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine for the module."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def guest(engine: WasmEngine) -> CoreModule:
    """A guest with every vice."""
    return compile_trusted(engine, GUEST)


def test_a_looping_guest_is_stopped(engine: WasmEngine, guest: CoreModule) -> None:
    """The call ends near its deadline, and the Store goes on."""
    with GuestStore(engine) as store:
        instance = CoreInstance(store, guest)
        start = time.perf_counter()
        with pytest.raises(CallDeadline):
            instance.call_i32("spin", deadline=0.02)
        assert time.perf_counter() - start < 2
        assert instance.call_i32("seven", deadline=1) == 7


def test_a_trap_says_how(engine: WasmEngine, guest: CoreModule) -> None:
    """The error carries wasmtime's name for the trap."""
    with GuestStore(engine) as store, pytest.raises(GuestTrap) as caught:
        CoreInstance(store, guest).call_i32("boom", deadline=1)
    assert caught.value.details["trap"] == "unreachable_code_reached"


def test_recursion_is_a_trap_and_no_crash(engine: WasmEngine, guest: CoreModule) -> None:
    """The guest's stack has its own limit, far below the thread's."""
    with GuestStore(engine) as store, pytest.raises(GuestTrap) as caught:
        CoreInstance(store, guest).call_i32("deep", deadline=1)
    assert caught.value.details["trap"] == "stack_overflow"


def test_recursion_in_a_small_thread_is_a_trap_too(engine: WasmEngine, guest: CoreModule) -> None:
    """A thread with 1 MiB of stack still has more than a guest may use."""
    seen: list[str] = []

    def run() -> None:
        with GuestStore(engine) as store:
            try:
                CoreInstance(store, guest).call_i32("deep", deadline=1)
            except GuestTrap as error:
                seen.append(error.details["trap"])

    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert seen == ["stack_overflow"]


def test_memory_stops_at_the_limit(engine: WasmEngine, guest: CoreModule) -> None:
    """Growing past it fails inside the guest, as the wasm specification has it."""
    with GuestStore(engine, StoreLimits(memory_bytes=4 * 65536)) as store:
        instance = CoreInstance(store, guest)
        assert instance.call_i32("grow", 3, deadline=1) == 1
        assert instance.call_i32("grow", 1, deadline=1) == -1


def test_an_instance_too_large_is_refused(engine: WasmEngine) -> None:
    """A memory that starts above the limit is no instance at all."""
    large = compile_trusted(engine, "(module (memory 100))")
    with GuestStore(engine, StoreLimits(memory_bytes=65536)) as store, pytest.raises(InstantiateFailed):
        CoreInstance(store, large)


def test_two_threads_in_one_store_are_refused(engine: WasmEngine, guest: CoreModule) -> None:
    """The second one gets an error at once; the first is not disturbed."""
    with GuestStore(engine, label="shared") as store:
        instance = CoreInstance(store, guest)

        def spin() -> None:
            with pytest.raises(CallDeadline):
                instance.call_i32("spin", deadline=0.2)

        first = threading.Thread(target=spin)
        first.start()
        seen = None
        while first.is_alive() and seen is None:
            try:
                instance.call_i32("seven", deadline=1)
            except StoreMisuse as error:
                seen = error
        first.join()
    assert seen is not None
    assert "shared" in str(seen)


def test_a_store_that_is_inside_is_not_closed(engine: WasmEngine) -> None:
    """Closing under a running call would free code that runs."""
    store = GuestStore(engine)
    with store.entered(1), pytest.raises(StoreMisuse):
        store.close()
    store.close()


def test_a_closed_store_is_not_entered(engine: WasmEngine, guest: CoreModule) -> None:
    """A call that was prepared before is an error, not a crash; closing twice is fine."""
    store = GuestStore(engine, label="gone")
    call = CoreInstance(store, guest).call("seven")
    store.close()
    store.close()
    with pytest.raises(StoreMisuse, match="gone"):
        call(10)


def test_a_forgotten_store_is_reported(engine: WasmEngine) -> None:
    """Nobody closes it: a ResourceWarning names it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = GuestStore(engine, label="forgotten")
        del store
        gc.collect()
    assert any(w.category is ResourceWarning and "forgotten" in str(w.message) for w in caught)


def test_epochs_rest_without_stores(engine: WasmEngine) -> None:
    """The ticker waits while no Store is open, and ticks again with the next one."""
    with GuestStore(engine) as store:
        spin = CoreInstance(store, compile_trusted(engine, GUEST))
        with pytest.raises(CallDeadline):
            spin.call_i32("spin", deadline=0.01)
    with GuestStore(engine) as store, pytest.raises(CallDeadline):
        CoreInstance(store, compile_trusted(engine, GUEST)).call_i32("spin", deadline=0.01)


def test_a_closed_engine_opens_no_store() -> None:
    """The error says so."""
    engine = WasmEngine()
    engine.close()
    engine.close()
    with pytest.raises(StoreMisuse):
        GuestStore(engine)
