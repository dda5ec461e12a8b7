"""Resources: the guest's held by the host, the host's held by the guest, and what is left when either ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.engine import ComponentInstance, GuestResource, HostImports, ResourceTable
from stellatune_plugins.errors import CallDeadline, GuestContract, GuestTrap, HostImportFailed, ValueInvalid

if TYPE_CHECKING:
    from makers import Make

# --- the table ----------------------------------------------------------------------------------------------------


def test_numbers_are_not_used_again_soon() -> None:
    """A handle that the guest kept too long never means a newer object."""
    table = ResourceTable()
    seen = set()
    for _ in range(1000):
        rep = table.add("r", object(), lambda _value: None)
        assert rep not in seen
        seen.add(rep)
        table.close(rep)


def test_numbers_come_round_past_those_in_use() -> None:
    """After 2^32 of them."""
    table = ResourceTable(first=2**32 - 1)
    held = [table.add("r", index, lambda _value: None) for index in range(3)]
    assert held == [2**32 - 1, 0, 1]
    table._next = 2**32 - 1
    assert table.add("r", 3, lambda _value: None) == 2
    assert [table.get("r", rep) for rep in (*held, 2)] == [0, 1, 2, 3]


def test_a_number_is_of_one_resource() -> None:
    """Neither another resource nor a number never given finds it."""
    table = ResourceTable()
    rep = table.add("i#thing", "value", lambda _value: None)
    for resource, number in (("i#other", rep), ("i#thing", rep + 1)):
        with pytest.raises(GuestContract, match=r"no (other|thing)"):
            table.get(resource, number)
    assert table.take("i#thing", rep) == "value"
    assert len(table) == 0


def test_the_table_is_bounded() -> None:
    """A guest cannot make the host hold objects without end."""
    table = ResourceTable(most=2)
    table.add("r", 1, lambda _value: None)
    table.add("r", 2, lambda _value: None)
    with pytest.raises(GuestContract, match="more than 2"):
        table.add("r", 3, lambda _value: None)


@given(failing=st.sets(st.integers(0, 9)))
def test_the_sweep_closes_all_newest_first(failing: set[int]) -> None:
    """A close that raises stops nothing."""
    closed = []

    def close(value: int) -> None:
        closed.append(value)
        if value in failing:
            raise OSError(value)

    table = ResourceTable()
    for value in range(10):
        table.add("r", value, close)
    failures = table.sweep()
    assert closed == list(range(9, -1, -1))
    assert [error.args[0] for error in failures] == sorted(failing, reverse=True)
    assert len(table) == 0


# --- the guest's own ----------------------------------------------------------------------------------------------

OWNER = """(component
  (import "dropped" (func $dropped (param "n" u32)))
  (core func $low (canon lower (func $dropped)))
  (core module $d (import "" "dropped" (func $dropped (param i32)))
    (func (export "dtor") (param i32)
      (if (i32.eq (local.get 0) (i32.const 13)) (then unreachable))
      (if (i32.eq (local.get 0) (i32.const 14)) (then (loop $l (br $l))))
      (call $dropped (local.get 0))))
  (core instance $d (instantiate $d (with "" (instance (export "dropped" (func $low))))))
  (type $r (resource (rep i32) (dtor (core func $d "dtor"))))
  (core func $new (canon resource.new $r))
  (core func $drop (canon resource.drop $r))
  (core module $m
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "number") (param i32) (result i32) (local.get 0))
    (func (export "eat") (param i32) (call $drop (local.get 0))))
  (core instance $i (instantiate $m (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
  (func $make (param "n" u32) (result (own $r)) (canon lift (core func $i "make")))
  (func $number (param "self" (borrow $r)) (result u32) (canon lift (core func $i "number")))
  (func $eat (param "r" (own $r)) (param "n" u32) (canon lift (core func $i "eat2")))
  (component $shell
    (import "r" (type $r (sub resource)))
    (import "make" (func $make (param "n" u32) (result (own $r))))
    (import "number" (func $number (param "self" (borrow $r)) (result u32)))
    (import "eat" (func $eat (param "r" (own $r)) (param "n" u32)))
    (export $r2 "thing" (type $r))
    (export "make" (func $make) (func (param "n" u32) (result (own $r2))))
    (export "[method]thing.number" (func $number) (func (param "self" (borrow $r2)) (result u32)))
    (export "eat" (func $eat) (func (param "r" (own $r2)) (param "n" u32))))
  (instance $out (instantiate $shell
    (with "r" (type $r)) (with "make" (func $make)) (with "number" (func $number)) (with "eat" (func $eat))))
  (export "test:guest/things@0.1.0" (instance $out)))""".replace(
    '(func (export "eat") (param i32) (call $drop (local.get 0)))',
    '(func (export "eat2") (param i32 i32) (call $drop (local.get 0)))',
)
THINGS = "test:guest/things@0.1.0"


@pytest.fixture
def dropped() -> list[int]:
    """What the guest's destructor was run for."""
    return []


@pytest.fixture
def owner(make: Make, dropped: list[int]) -> ComponentInstance:
    """A guest with a resource; its destructor tells the host."""
    imports = HostImports()
    imports.add("", "dropped", dropped.append)
    return make(OWNER, imports, deadline=0.2)


def thing(instance: ComponentInstance, number: int) -> GuestResource:
    """A fresh resource."""
    found = instance.function(THINGS, "make")(number)
    assert isinstance(found, GuestResource)
    return found


def test_methods_get_their_resource(owner: ComponentInstance) -> None:
    """As a borrow: it is still there afterwards."""
    number = owner.resource_method(THINGS, "thing", "number")
    one, two = thing(owner, 1), thing(owner, 2)
    assert [number(one), number(two), number(one)] == [1, 2, 1]
    assert (one.name, one.interface) == ("thing", THINGS)


def test_dropping_runs_the_destructor_once(owner: ComponentInstance, dropped: list[int]) -> None:
    """At once, and never again."""
    one = thing(owner, 1)
    one.drop()
    assert dropped == [1]
    assert one.dropped
    one.drop()
    assert dropped == [1]
    with pytest.raises(ValueInvalid, match="the thing was dropped"):
        owner.resource_method(THINGS, "thing", "number")(one)


def test_closing_drops_what_is_left_newest_first(owner: ComponentInstance, dropped: list[int]) -> None:
    """Forgotten handles included."""
    kept = [thing(owner, number) for number in (1, 2)]
    thing(owner, 3)
    owner.close()
    assert dropped == [3, 2, 1]
    assert all(one.dropped for one in kept)
    kept[0].drop()
    assert dropped == [3, 2, 1]


def test_an_owned_argument_moves_away(owner: ComponentInstance, dropped: list[int]) -> None:
    """The guest has it now; the host's handle is spent."""
    one = thing(owner, 1)
    owner.function(THINGS, "eat")(one, 0)
    assert dropped == [1]
    assert one.dropped
    with pytest.raises(ValueInvalid, match="dropped"):
        owner.function(THINGS, "eat")(one, 0)
    owner.close()
    assert dropped == [1]


def test_nothing_moves_when_a_later_argument_is_wrong(owner: ComponentInstance, dropped: list[int]) -> None:
    """The call does not happen, so the handle is still good."""
    one = thing(owner, 1)
    with pytest.raises(ValueInvalid, match="n: -1"):
        owner.function(THINGS, "eat")(one, -1)
    assert not one.dropped
    one.drop()
    assert dropped == [1]


def test_a_resource_of_another_instance_is_refused(make: Make, owner: ComponentInstance) -> None:
    """Handles are numbers to wasmtime, so this must be caught here."""
    imports = HostImports()
    imports.add("", "dropped", lambda _n: None)
    other = make(OWNER, imports, store=owner.store)
    with pytest.raises(ValueInvalid, match="of another instance"):
        owner.resource_method(THINGS, "thing", "number")(thing(other, 1))
    with pytest.raises(ValueInvalid, match="int 5 where the guest's"):
        owner.resource_method(THINGS, "thing", "number")(5)


def test_a_destructor_that_traps(owner: ComponentInstance) -> None:
    """Kills the instance, and the handle counts as dropped."""
    bad, good = thing(owner, 13), thing(owner, 1)
    with pytest.raises(GuestTrap):
        bad.drop()
    assert bad.dropped
    assert good.dropped
    assert not owner.alive


def test_a_destructor_that_hangs(owner: ComponentInstance) -> None:
    """Is stopped."""
    with pytest.raises(CallDeadline):
        thing(owner, 14).drop(deadline=0.02)


def test_closing_survives_bad_destructors(owner: ComponentInstance, dropped: list[int]) -> None:
    """Whatever the guest does, the instance is closed, and what failed is on record."""
    for number in (1, 13, 2):
        thing(owner, number)
    owner.close()
    assert dropped == [2]
    assert [type(error) for error in owner.close_failures] == [GuestTrap]


# --- the host's ---------------------------------------------------------------------------------------------------

HOLDER = """(component
  (import "test:host/things@0.1.0" (instance $t
    (export "thing" (type $thing (sub resource)))
    (export "make" (func (param "n" u32) (result (own $thing))))
    (export "[method]thing.number" (func (param "self" (borrow $thing)) (result u32)))
    (export "eat" (func (param "t" (own $thing))))))
  (alias export $t "thing" (type $r))
  (core func $make (canon lower (func $t "make")))
  (core func $number (canon lower (func $t "[method]thing.number")))
  (core func $eat (canon lower (func $t "eat")))
  (core func $drop (canon resource.drop $r))
  (core module $m
    (import "" "make" (func $make (param i32) (result i32)))
    (import "" "number" (func $number (param i32) (result i32)))
    (import "" "eat" (func $eat (param i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "make") (param i32) (result i32) (call $make (local.get 0)))
    (func (export "number") (param i32) (result i32) (call $number (local.get 0)))
    (func (export "drop") (param i32) (call $drop (local.get 0)))
    (func (export "eat") (param i32) (call $eat (local.get 0)))
    (func (export "take") (param i32) (result i32) (call $number (local.get 0)))
    (func (export "look") (param i32) (result i32) (local $n i32)
      (local.set $n (call $number (local.get 0))) (call $drop (local.get 0)) (local.get $n))
    (func (export "give") (param i32) (result i32) (local.get 0)))
  (core instance $i (instantiate $m (with "" (instance (export "make" (func $make)) (export "number" (func $number))
    (export "eat" (func $eat)) (export "drop" (func $drop))))))
  (func (export "make") (param "n" u32) (result u32) (canon lift (core func $i "make")))
  (func (export "number") (param "handle" u32) (result u32) (canon lift (core func $i "number")))
  (func (export "drop") (param "handle" u32) (canon lift (core func $i "drop")))
  (func (export "eat") (param "handle" u32) (canon lift (core func $i "eat")))
  (func (export "take") (param "t" (own $r)) (result u32) (canon lift (core func $i "take")))
  (func (export "take2") (param "t" (own $r)) (param "n" u32) (result u32) (canon lift (core func $i "take2")))
  (func (export "look") (param "t" (borrow $r)) (result u32) (canon lift (core func $i "look")))
  (func (export "give") (param "handle" u32) (result (own $r)) (canon lift (core func $i "give"))))""".replace(
    '    (func (export "look")',
    '    (func (export "take2") (param i32 i32) (result i32) (call $number (local.get 0)))\n    (func (export "look")',
)
HOST_THINGS = "test:host/things@0.1.0"


class Thing:
    """An object of the host."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closes = 0

    def close(self) -> None:
        self.closes += 1
        if self.number == 13:
            raise OSError("cannot close")


class Host:
    """The host side of the interface, and everything it ever made or got back."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.eaten: list[Thing] = []
        self.imports = HostImports()
        self.imports.add_resource(HOST_THINGS, "thing", Thing)
        self.imports.add(HOST_THINGS, "make", self.make)
        self.imports.add(HOST_THINGS, "[method]thing.number", lambda thing: thing.number)
        self.imports.add(HOST_THINGS, "eat", self.eaten.append)

    def make(self, number: int) -> Any:
        if number == 99:
            return "no thing"
        self.made.append(Thing(number))
        return self.made[-1]


@pytest.fixture
def host() -> Host:
    """A host."""
    return Host()


@pytest.fixture
def holder(make: Make, host: Host) -> ComponentInstance:
    """A guest that holds the host's resources."""
    return make(HOLDER, host.imports)


def test_the_guest_reaches_the_hosts_object(holder: ComponentInstance, host: Host) -> None:
    """Through a handle, as often as it likes; each handle means its own object."""
    handles = [holder.function("", "make")(number) for number in (7, 8)]
    number = holder.function("", "number")
    assert [number(handle) for handle in (*handles, handles[0])] == [7, 8, 7]
    assert holder.held_resources == 2
    assert [made.closes for made in host.made] == [0, 0]


def test_dropping_closes_the_object(holder: ComponentInstance, host: Host) -> None:
    """At once, and once."""
    handle = holder.function("", "make")(7)
    holder.function("", "drop")(handle)
    assert (holder.held_resources, host.made[0].closes) == (0, 1)
    with pytest.raises(GuestContract, match=f"unknown handle index {handle}"):
        holder.function("", "drop")(handle)
    assert host.made[0].closes == 1


def test_the_end_of_the_instance_sweeps(holder: ComponentInstance, host: Host) -> None:
    """What the guest never dropped is closed; a close that raises is on record and stops nothing."""
    for number in (1, 13, 2):
        holder.function("", "make")(number)
    holder.close()
    assert [made.closes for made in host.made] == [1, 1, 1]
    assert [str(error) for error in holder.close_failures] == ["cannot close"]


def test_the_sweep_comes_after_a_failure_too(holder: ComponentInstance, host: Host) -> None:
    """A dead guest's objects are no exception."""
    holder.function("", "make")(1)
    with pytest.raises(GuestContract):
        holder.function("", "number")(12345)
    holder.close()
    assert host.made[0].closes == 1


def test_an_object_given_back_is_the_hosts(holder: ComponentInstance, host: Host) -> None:
    """As an owned argument of an import, or as a result: the table lets go of it, and does not close it."""
    make, eat, give = (holder.function("", name) for name in ("make", "eat", "give"))
    eat(make(1))
    assert host.eaten == [host.made[0]]
    assert give(make(2)) is host.made[1]
    assert holder.held_resources == 0
    holder.close()
    assert [made.closes for made in host.made] == [0, 0]


def test_an_object_passed_as_an_argument(holder: ComponentInstance) -> None:
    """Owned, it stays with the guest until the end; lent, it leaves the table with the call."""
    owned, lent = Thing(5), Thing(6)
    assert holder.function("", "take")(owned) == 5
    assert holder.held_resources == 1
    for _ in range(3):
        assert holder.function("", "look")(lent) == 6
    assert holder.held_resources == 1
    holder.close()
    assert (owned.closes, lent.closes) == (1, 0)


def test_an_object_of_another_class_is_refused(holder: ComponentInstance) -> None:
    """As an argument by the caller, as an answer by the host's own function."""
    with pytest.raises(ValueInvalid, match="str where Thing is expected"):
        holder.function("", "take")("text")
    assert holder.alive
    with pytest.raises(HostImportFailed, match="Thing is expected"):
        holder.function("", "make")(99)


def test_nothing_stays_behind_when_a_later_argument_is_wrong(holder: ComponentInstance) -> None:
    """The object leaves the table again, open."""
    own = Thing(5)
    for _ in range(100):
        with pytest.raises(ValueInvalid, match="n: str"):
            holder.function("", "take2")(own, "x")
    assert holder.held_resources == 0
    assert own.closes == 0
    assert holder.function("", "take2")(own, 1) == 5


def test_a_close_that_raises_is_raised_after_the_call(holder: ComponentInstance) -> None:
    """Where the guest dropped the handle."""
    handle = holder.function("", "make")(13)
    with pytest.raises(HostImportFailed, match="cannot close"):
        holder.function("", "drop")(handle)
    assert not holder.alive


def test_what_is_closed_is_the_authors_choice(make: Make, host: Host) -> None:
    """A resource may name its own way to close."""
    closed: list[Any] = []
    host.imports.add_resource(HOST_THINGS, "thing", Thing, close=closed.append)
    instance = make(HOLDER, host.imports)
    instance.function("", "make")(1)
    instance.close()
    assert closed == host.made
    assert host.made[0].closes == 0
