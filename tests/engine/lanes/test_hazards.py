"""What goes wrong in a call goes wrong through a lane in the same way, and never costs the host more."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from bulk_guests import WORLDS, BulkGuest, BulkGuests, Channel, Host, Stream, refusal

from stellatune_plugins.engine import Err, Ok, StoreLimits, Variant
from stellatune_plugins.errors import (
    CallDeadline,
    GuestContract,
    GuestTrap,
    HostImportFailed,
    InstanceDead,
    StellatuneError,
    ValueInvalid,
)

EVERY = pytest.mark.parametrize("interface", list(WORLDS))
EITHER = pytest.mark.parametrize("lanes", [True, False], ids=["lanes", "list"])


def given(guest: BulkGuest, size: int = 40) -> int | bytes:
    """An input for the bulk function."""
    return bytes(size) if guest.takes_bytes else size


def failing(guest: BulkGuest, how: str, **options: Any) -> StellatuneError:
    """How a call fails; the instance is dead of it."""
    guest.play(how)
    with pytest.raises(StellatuneError) as caught:
        guest.carry(given(guest), **options)
    assert not guest.instance.alive
    with pytest.raises(InstanceDead):
        guest.carry(given(guest))
    return caught.value


@EVERY
@EITHER
def test_the_guests_own_errors_arrive(bulk: BulkGuests, interface: str, lanes: bool) -> None:
    """Short and long ones, with letters beyond ASCII; the instance goes on."""
    with bulk.open(interface, lanes=lanes) as guest:
        for _ in range(3):
            guest.play("e")
            assert guest.carry(given(guest)) == refusal("timeout", "zu spät")
            guest.play("E")
            assert guest.carry(given(guest)) == refusal("io", "x" * 100_000)
        guest.play("p")
        assert isinstance(guest.carry(given(guest)), Ok)


@EVERY
@EITHER
@pytest.mark.parametrize(
    ("how", "wanted"),
    [("t", GuestTrap), ("l", CallDeadline)],
)
def test_a_call_ends_the_same_way(bulk: BulkGuests, interface: str, lanes: bool, how: str, wanted: Any) -> None:
    """In a trap, or at its deadline."""
    with bulk.open(interface, lanes=lanes) as guest:
        error = failing(guest, how, deadline=0.3 if how == "l" else None)
        assert isinstance(error, wanted)


@pytest.mark.parametrize("interface", ["decoder", "source", "dsp"])
@EITHER
@pytest.mark.parametrize("how", ["w", "m"])
def test_bytes_that_cannot_be_had_break_the_contract(bulk: BulkGuests, interface: str, lanes: bool, how: str) -> None:
    """Such as lie beyond the guest's memory, and more than one call may carry."""
    with bulk.open(interface, lanes=lanes) as guest:
        assert isinstance(failing(guest, how), GuestContract)


@EITHER
def test_a_trap_after_the_bytes_counts(bulk: BulkGuests, lanes: bool) -> None:
    """The guest's cleaning up belongs to the call."""
    with bulk.open("dsp", lanes=lanes) as guest:
        assert isinstance(failing(guest, "f"), GuestTrap)


@EITHER
@pytest.mark.parametrize("how", ["W", "M"])
def test_the_host_gets_no_bytes_that_are_not_there(bulk: BulkGuests, lanes: bool, how: str) -> None:
    """Nor more than one call may carry; the host's function is not even called."""

    class Deaf(Host):
        def write(self, channel: Channel, data: bytes) -> Any:
            raise AssertionError(channel, len(data))

    with bulk.open("dsp", lanes=lanes, host=Deaf()) as guest:
        assert isinstance(failing(guest, how), GuestContract)


@EITHER
def test_the_hosts_errors_reach_the_guest(bulk: BulkGuests, lanes: bool) -> None:
    """In every case, and with any text; the decoder passes them on."""
    answer: Any = None
    cases = [
        Err(Variant(case, text))
        for case in ("invalid-arg", "not-found", "io", "timeout", "unsupported", "denied", "internal")
        for text in ("", "no", "nö" * 5000)
    ]

    class Refusing(Host):
        def read(self, _stream: Stream, _most: int) -> Any:
            return answer

    with bulk.open("decoder", lanes=lanes, host=Refusing()) as guest:
        guest.play("s")
        for answer in cases:
            assert guest.carry(8) == answer


@EITHER
@pytest.mark.parametrize("wrong", [Ok("text"), Ok([1, 2]), Ok(None), b"bytes", None])
def test_an_answer_of_another_type_is_the_hosts_defect(bulk: BulkGuests, lanes: bool, wrong: Any) -> None:
    """The guest reads ``internal``, the caller what it was."""

    class Wrong(Host):
        def read(self, _stream: Stream, _most: int) -> Any:
            return wrong

    with bulk.open("decoder", lanes=lanes, host=Wrong()) as guest:
        error = failing(guest, "s")
        assert isinstance(error, HostImportFailed)
        assert isinstance(error.__cause__, ValueInvalid)
        assert error.details["host_import"] == "stellatune:plugin/host-stream@0.1.0#[method]host-stream-handle.read"


@EITHER
@pytest.mark.parametrize("raised", [OSError("disk"), KeyboardInterrupt()])
def test_an_exception_in_the_host_comes_out_after_the_call(
    bulk: BulkGuests, lanes: bool, raised: BaseException
) -> None:
    """The host's defects and interrupts go their usual ways."""

    class Raising(Host):
        def read(self, _stream: Stream, _most: int) -> Any:
            raise raised

    with bulk.open("decoder", lanes=lanes, host=Raising()) as guest:
        guest.play("s")
        with pytest.raises(type(raised) if isinstance(raised, KeyboardInterrupt) else HostImportFailed):
            guest.carry(8)
        assert not guest.instance.alive


@EITHER
@pytest.mark.parametrize("value", ["text", None, [1], memoryview(bytes(8))[::2]])
def test_what_is_no_bytes_does_not_enter(bulk: BulkGuests, lanes: bool, value: Any) -> None:
    """The instance lives on."""
    with bulk.open("dsp", lanes=lanes) as guest:
        with pytest.raises(ValueInvalid, match="interleaved-f32le"):
            guest.bulk(guest.reader, 2, value)
        with pytest.raises(ValueInvalid, match="3 are expected"):
            guest.bulk(guest.reader, 2)
        with pytest.raises(ValueInvalid, match="channels"):
            guest.bulk(guest.reader, 70_000, b"")
        guest.play("i")
        assert guest.carry(b"\0") == Ok(b"\xff")


@EITHER
def test_a_resource_is_the_same_object_on_both_ways(bulk: BulkGuests, lanes: bool) -> None:
    """The stream that was given is the one that is read, and is closed once, when its session goes."""
    seen = []

    class Watching(Host):
        def read(self, stream: Stream, most: int) -> Any:
            seen.append(stream)
            return super().read(stream, most)

    host = Watching()
    with bulk.open("decoder", lanes=lanes, host=host) as guest:
        guest.play("s")
        guest.carry(8)
        assert seen == [host.stream]
        assert seen[0] is host.stream
        assert guest.instance.held_resources == 1
        guest.made.drop()
        assert (host.stream.closed, guest.instance.held_resources) == (1, 0)
        with pytest.raises(ValueInvalid, match="dropped"):
            guest.carry(8)
    assert host.stream.closed == 1


@EITHER
def test_a_session_of_another_instance_is_refused(bulk: BulkGuests, lanes: bool) -> None:
    """It never reaches the guest."""
    with bulk.open("decoder", lanes=lanes) as one, bulk.open("decoder", lanes=lanes) as other:
        with pytest.raises(ValueInvalid, match="another instance"):
            one.bulk(other.made, 8)
        assert one.instance.alive


@EITHER
def test_the_stream_is_closed_with_the_instance(bulk: BulkGuests, lanes: bool) -> None:
    """Whatever happened before."""
    host = Host()
    with bulk.open("decoder", lanes=lanes, host=host) as guest:
        failing(guest, "t")
    assert host.stream.closed == 1
    assert guest.instance.held_resources == 0


def test_an_instance_with_lanes_leaves_nothing(bulk: BulkGuests) -> None:
    """Neither its host's objects nor its own outlive it."""
    host = Host()
    kept = weakref.ref(host.stream)
    with bulk.open("decoder", lanes=True, host=host) as guest:
        guest.play("s")
        guest.carry(4096)
        instance = weakref.ref(guest.instance)
    del guest, host
    gc.collect()
    assert kept() is None
    assert instance() is None


@EVERY
def test_the_guests_memory_may_grow_while_a_lane_is_in_use(bulk: BulkGuests, interface: str) -> None:
    """Fresh memory at every call: what the lane reads is never where it was before."""
    with bulk.open(interface, lanes=True) as fast, bulk.open(interface, lanes=False) as slow:
        fast.play("g3")
        slow.play("g3")
        for size in (10, 70_000, 200_001, 64, 0, 300_000):
            assert fast.carry(given(fast, size)) == slow.carry(given(slow, size))


@pytest.mark.parametrize("interface", ["dsp", "output-sink"])
def test_a_guest_that_meddles_within_a_lane_confuses_nobody(bulk: BulkGuests, interface: str) -> None:
    """Its allocator calls the host while bytes are on their way: by list that is a trap, by lane no bytes get lost."""
    with bulk.open(interface, lanes=True) as fast, bulk.open(interface, lanes=False) as slow:
        fast.play("r")
        slow.play("i")
        for size in (0, 5, 4096, 70_000, 3):
            data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
            assert fast.carry(data) == slow.carry(data)
        assert fast.host.channel.asked
    with bulk.open(interface, lanes=False) as slow:
        assert isinstance(failing(slow, "r"), GuestTrap)


def test_threads_with_an_instance_each_do_not_mix_bytes(bulk: BulkGuests) -> None:
    """They share the component, its plan and its codecs, and numpy lets go of the GIL in the middle."""
    wrong: list[str] = []

    def work(number: int) -> None:
        with bulk.open("dsp", lanes=True) as guest:
            guest.play("c")
            for turn in range(60):
                sent = bytes([number, turn]) * (1000 + 500 * number)
                if guest.carry(sent) != Ok(sent):
                    wrong.append(f"thread {number}, turn {turn}")

    bulk.component("dsp", lanes=True)  # compiled once, before they all ask for it
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def test_lanes_take_nothing_of_the_guests_share(bulk: BulkGuests) -> None:
    """What a guest may have without lanes it may have with them, and not a memory or an instance more."""

    def fits(lanes: bool, **limits: int) -> bool:
        try:
            with bulk.open("decoder", lanes=lanes, limits=StoreLimits(**limits)) as guest:
                guest.play("p")
                return isinstance(guest.carry(100), Ok)
        except StellatuneError:
            return False

    for limit in ("memories", "instances", "tables"):
        least = next(count for count in range(20) if fits(False, **{limit: count}))
        assert fits(True, **{limit: least}), limit
        assert least == 0 or not fits(True, **{limit: least - 1}), limit


def test_a_lanes_memory_is_bounded_like_the_guests(bulk: BulkGuests) -> None:
    """More planes than a memory may have bytes: the call fails and the host goes on."""
    limits = StoreLimits(memory_bytes=4 << 20)
    with bulk.open("dsp", lanes=True, limits=limits) as guest:
        guest.play("i")
        assert guest.carry(bytes(1 << 20)) == Ok(b"\xff" * (1 << 20))
        with pytest.raises(StellatuneError):
            guest.carry(bytes(3 << 20))
        assert not guest.instance.alive
