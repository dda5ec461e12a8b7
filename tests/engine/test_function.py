"""Calls: what comes back, and what is left of an instance after each way to fail."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from stellatune_plugins.engine import HostImports, StoreLimits
from stellatune_plugins.errors import (
    CallDeadline,
    GuestContract,
    GuestTrap,
    InstanceDead,
    InstantiateFailed,
    StellatuneError,
    StoreMisuse,
    ValueInvalid,
    WorldMismatch,
)

if TYPE_CHECKING:
    from makers import Make

GUEST = r"""(component
  (core module $m
    (memory (export "memory") 1 200)
    (data (i32.const 64) "\ff\fe\fd")
    (global $posts (mut i32) (i32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "plus-one") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "nothing"))
    (func (export "trap") unreachable)
    (func (export "loop") (loop $l (br $l)))
    (func $deep (export "deep") (call $deep))
    (func (export "grow") (result i32) (memory.grow (i32.const 150)))
    (func (export "bad-text") (result i32)
      (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 3)) (i32.const 8))
    (func (export "far-text") (result i32)
      (i32.store (i32.const 8) (i32.const 0x7fffff00)) (i32.store (i32.const 12) (i32.const 3)) (i32.const 8))
    (func (export "bad-case") (result i32) (i32.const 9))
    (func (export "bad-char") (result i32) (i32.const 0xd800))
    (func (export "much") (result i32) (drop (memory.grow (i32.const 99)))
      (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 6000000)) (i32.const 8))
    (func (export "text") (result i32)
      (i32.store (i32.const 8) (i32.const 16)) (i32.store (i32.const 12) (i32.const 0)) (i32.const 8))
    (func (export "post") (param i32) (global.set $posts (i32.add (global.get $posts) (i32.const 1))))
    (func (export "posts") (result i32) (global.get $posts)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (type $e' (enum "a" "b"))
  (import "e" (type $e (eq $e')))
  (func (export "plus-one") (param "n" u32) (result u32) (canon lift (core func $i "plus-one")))
  (func (export "nothing") (canon lift (core func $i "nothing")))
  (func (export "trap") (canon lift (core func $i "trap")))
  (func (export "loop") (canon lift (core func $i "loop")))
  (func (export "deep") (canon lift (core func $i "deep")))
  (func (export "grow") (result s32) (canon lift (core func $i "grow")))
  (func (export "bad-text") (result string) (canon lift (core func $i "bad-text") (memory $memory)))
  (func (export "far-text") (result string) (canon lift (core func $i "far-text") (memory $memory)))
  (func (export "bad-case") (result $e) (canon lift (core func $i "bad-case")))
  (func (export "bad-char") (result char) (canon lift (core func $i "bad-char")))
  (func (export "much") (result (list u8)) (canon lift (core func $i "much") (memory $memory)))
  (func (export "text") (result string)
    (canon lift (core func $i "text") (memory $memory) (post-return (core func $i "post"))))
  (func (export "posts") (result u32) (canon lift (core func $i "posts"))))"""


def test_a_call_gives_its_result(make: Make) -> None:
    """And can be made again."""
    function = make(GUEST).function("", "plus-one")
    assert [function(number) for number in (0, 41, 2**32 - 2)] == [1, 42, 2**32 - 1]


def test_a_call_without_a_result(make: Make) -> None:
    """Gives None."""
    assert make(GUEST).function("", "nothing")() is None


def test_the_guest_cleans_up_after_each_result(make: Make) -> None:
    """Its post-return runs once a call, without anyone asking."""
    instance = make(GUEST)
    text = instance.function("", "text")
    assert [text() for _ in range(5)] == [""] * 5
    assert instance.function("", "posts")() == 5


FATAL: list[tuple[str, type[StellatuneError], str | None]] = [
    ("trap", GuestTrap, "unreachable_code_reached"),
    ("deep", GuestTrap, "stack_overflow"),
    ("loop", CallDeadline, None),
    ("bad-text", GuestContract, None),
    ("far-text", GuestContract, None),
    ("bad-case", GuestContract, None),
    ("bad-char", GuestContract, None),
    ("much", GuestContract, None),
]


@pytest.mark.parametrize(("name", "kind", "trap"), FATAL, ids=[name for name, _, _ in FATAL])
def test_a_failed_call_kills_the_instance(make: Make, name: str, kind: type[StellatuneError], trap: str | None) -> None:
    """The error is of its kind; after it the instance is dead, and so is its Store."""
    instance = make(GUEST)
    harmless = instance.function("", "plus-one")
    with pytest.raises(kind) as caught:
        instance.function("", name)(deadline=0.05)
    assert caught.value.code in {"guest-trap", "guest-contract", "call-deadline"}
    assert caught.value.operation == name
    if trap is not None:
        assert caught.value.details["trap"] == trap
    assert not instance.alive
    with pytest.raises(InstanceDead, match=name):
        harmless(1)
    with pytest.raises(StoreMisuse, match="new one"):
        make(GUEST, store=instance.store)
    assert make(GUEST).function("", "plus-one")(1) == 2


def test_instances_in_one_store_die_together(make: Make) -> None:
    """After a trap wasmtime lets nobody enter a component in the same Store; the error says why."""
    first = make(GUEST)
    second = make(GUEST, store=first.store)
    assert second.function("", "plus-one")(1) == 2
    with pytest.raises(GuestTrap):
        first.function("", "trap")()
    with pytest.raises(InstanceDead, match="another instance in its Store failed"):
        second.function("", "plus-one")(1)
    assert not second.alive


def test_a_wrong_argument_harms_nobody(make: Make) -> None:
    """The guest is not entered, and goes on."""
    instance = make(GUEST)
    function = instance.function("", "plus-one")
    for args in ((-1,), ("1",), (), (1, 2)):
        with pytest.raises(ValueInvalid):
            function(*args)
    assert instance.alive
    assert function(1) == 2


def test_the_stores_memory_limit_holds(make: Make) -> None:
    """A guest that asks for more is told no, and lives."""
    instance = make(GUEST, limits=StoreLimits(memory_bytes=1 << 20))
    assert instance.function("", "grow")() == -1


LIMITS = [
    StoreLimits(memory_bytes=1000),
    StoreLimits(memories=0),
    StoreLimits(instances=0),
]


@pytest.mark.parametrize("limits", LIMITS, ids=["memory", "memories", "instances"])
def test_limits_too_small_to_begin(make: Make, limits: StoreLimits) -> None:
    """The component cannot be instantiated, and the message says which limit it was."""
    with pytest.raises(InstantiateFailed, match="limit"):
        make(GUEST, limits=limits)


def test_tables_are_limited(make: Make) -> None:
    """Their number as well as their size."""
    text = "(component (core module $m (table 50 funcref)) (core instance (instantiate $m)))"
    with pytest.raises(InstantiateFailed, match="limit"):
        make(text, limits=StoreLimits(table_elements=10))
    with pytest.raises(InstantiateFailed, match="limit"):
        make(text, limits=StoreLimits(tables=0))


def test_start_code_has_a_deadline(make: Make) -> None:
    """A start function that never ends is stopped."""
    text = "(component (core module $m (func $f (loop $l (br $l))) (start $f)) (core instance (instantiate $m)))"
    with pytest.raises(CallDeadline):
        make(text, deadline=0.05)


def test_start_code_that_traps(make: Make) -> None:
    """Is a trap."""
    text = "(component (core module $m (func $f unreachable) (start $f)) (core instance (instantiate $m)))"
    with pytest.raises(GuestTrap):
        make(text)


def test_what_is_not_exported_is_named(make: Make) -> None:
    """Functions and interfaces alike."""
    instance = make(GUEST)
    with pytest.raises(WorldMismatch, match="does not export absent"):
        instance.function("", "absent")
    with pytest.raises(WorldMismatch, match=r"stellatune:plugin/dsp@0\.1\.0#create"):
        instance.function("stellatune:plugin/dsp@0.1.0", "create")


def test_a_closed_instance_says_so(make: Make) -> None:
    """Functions that were prepared before included."""
    instance = make(GUEST)
    function = instance.function("", "plus-one")
    instance.close()
    instance.close()
    with pytest.raises(InstanceDead, match="closed"):
        function(1)


def test_a_function_outlives_its_store_harmlessly(make: Make) -> None:
    """With stock objects this aborts the process."""
    instance = make(GUEST)
    function = instance.function("", "plus-one")
    instance.close()
    instance.store.close()
    with pytest.raises(StoreMisuse, match="closed"):
        function(1)


CALLER = """(component
  (import "back" (func $back))
  (core func $low (canon lower (func $back)))
  (core module $m (import "" "back" (func $back)) (func (export "go") (call $back)))
  (core instance $i (instantiate $m (with "" (instance (export "back" (func $low))))))
  (func (export "go") (canon lift (core func $i "go"))))"""


def test_two_threads_in_one_store_are_refused(make: Make) -> None:
    """The second gets an error; the first goes on undisturbed."""
    inside, leave = threading.Event(), threading.Event()

    def back() -> None:
        inside.set()
        assert leave.wait(10)

    imports = HostImports()
    imports.add("", "back", back)
    instance = make(CALLER, imports)
    go = instance.function("", "go")
    thread = threading.Thread(target=go)
    thread.start()
    try:
        assert inside.wait(10)
        with pytest.raises(StoreMisuse):
            go()
        with pytest.raises(StoreMisuse):
            instance.close()
    finally:
        leave.set()
        thread.join()
    assert instance.alive
    go()


def test_stores_of_one_engine_are_apart(make: Make) -> None:
    """The death of an instance in one is nothing to another."""
    first, second = make(GUEST), make(GUEST)
    with pytest.raises(GuestTrap):
        first.function("", "trap")()
    assert second.function("", "plus-one")(1) == 2
