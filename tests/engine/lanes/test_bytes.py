"""The bytes that come through a lane are those that come by ``list<u8>``, in every world and both ways."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import hypothesis
import pytest
from bulk_guests import WORLDS, BulkGuest, BulkGuests, Host
from hypothesis import strategies as st

from stellatune_plugins.engine import Ok
from stellatune_plugins.engine.lanes import lanes_of

EDGES = (0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 65535, 65536, 65537)
"""Round the sixteen bytes of a vector, the four vectors of a turn, the page of memory."""


@contextlib.contextmanager
def both(bulk: BulkGuests, interface: str) -> Any:
    """The same guest with lanes and without, each with a host of its own."""
    with bulk.open(interface, lanes=True) as fast, bulk.open(interface, lanes=False) as slow:
        yield fast, slow


def carry(guest: BulkGuest, how: str, data: bytes) -> Any:
    """Send bytes through a guest, whichever way its part wants them."""
    guest.play(how)
    guest.host.stream.data = data
    return guest.carry(data if guest.takes_bytes else len(data))


def noise(size: int) -> bytes:
    """Some bytes; the same for the same size."""
    return random.Random(size).randbytes(size)


WAYS = [("decoder", "s"), ("decoder", "p"), ("source", "s"), ("source", "p"), ("dsp", "i"), ("output-sink", "i")]


@pytest.mark.parametrize(("interface", "how"), WAYS)
@pytest.mark.parametrize("size", EDGES)
def test_bytes_of_every_size_are_the_same(bulk: BulkGuests, interface: str, how: str, size: int) -> None:
    """Vectors and single bytes meet without a seam."""
    with both(bulk, interface) as (fast, slow):
        assert carry(fast, how, noise(size)) == carry(slow, how, noise(size))


@pytest.fixture(scope="module")
def open_pairs(bulk: BulkGuests) -> Any:
    """One pair a world, used again and again."""
    with contextlib.ExitStack() as stack:
        yield {interface: stack.enter_context(both(bulk, interface)) for interface in WORLDS}


@pytest.mark.parametrize(("interface", "how"), [*WAYS, *((interface, "c") for interface in WORLDS)])
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=40)
def test_any_bytes_are_the_same(open_pairs: Any, interface: str, how: str, data: st.DataObject) -> None:
    """Through the export, the stream's read, and the channel's write and read."""
    fast, slow = open_pairs[interface]
    sent = data.draw(st.binary(max_size=300) | st.integers(0, 9000).map(noise))
    answer = carry(fast, how, sent)
    assert answer == carry(slow, how, sent)
    assert isinstance(answer, Ok)
    assert fast.host.channel.data == slow.host.channel.data
    assert fast.host.stream.asked == slow.host.stream.asked


def test_the_decoder_gives_back_what_the_stream_gave(bulk: BulkGuests) -> None:
    """Not only the same as by the other way, but right."""
    with bulk.open("decoder", lanes=True) as guest:
        sent = bytes(range(256)) * 3
        found = carry(guest, "s", sent)
        assert found == Ok({"interleaved-f32le": sent, "frames": 96, "eof": False})
        assert type(found.value["interleaved-f32le"]) is bytearray  # to be written to, and nobody else's


def test_what_a_guest_gives_to_the_host_is_bytes(bulk: BulkGuests) -> None:
    """Whoever serves the import may keep them."""
    with bulk.open("dsp", lanes=True) as guest:
        carry(guest, "c", b"\x80\x00\xff")
        assert type(guest.host.channel.data) is bytes


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whatever_stands_for_bytes_is_taken(bulk: BulkGuests, kind: type) -> None:
    """As by ``list<u8>``."""
    with bulk.open("dsp", lanes=True) as guest:
        guest.play("i")
        assert guest.carry(kind(b"\x00\x7f\x80\xff")) == Ok(b"\xff\x80\x7f\x00")


def test_every_world_has_its_lanes(bulk: BulkGuests) -> None:
    """Its own function, and the host's that it imports."""
    found = {
        interface: {lane.bulk.lane for lane in lanes_of(bulk.component(interface, lanes=True))} for interface in WORLDS
    }
    channel = {"lane-sidecar-channel-read", "lane-sidecar-channel-write"}
    stream = {"lane-host-stream-host-stream-handle-read"}
    assert found == {
        "decoder": channel | stream | {"lane-decoder-session-read-pcm-f32"},
        "source": channel | stream | {"lane-source-source-stream-read"},
        "dsp": channel | {"lane-dsp-processor-process-interleaved-f32"},
        "output-sink": channel | {"lane-output-sink-session-write-interleaved-f32"},
    }
    assert all(not lanes_of(bulk.component(interface, lanes=False)) for interface in WORLDS)


def test_large_pieces_make_the_lanes_memory_grow(bulk: BulkGuests) -> None:
    """Two planes of a megabyte do not fit into its first page; a small piece afterwards is as it should be."""
    with both(bulk, "dsp") as (fast, slow):
        for size in (1 << 20, 3, 1 << 21, 100):
            assert carry(fast, "i", noise(size)) == carry(slow, "i", noise(size))


def test_the_host_may_give_more_than_was_asked_for(bulk: BulkGuests) -> None:
    """The lane neither cuts nor minds; it is the guest's to judge, as by ``list<u8>``."""

    class Generous(Host):
        def read(self, _stream: Any, most: int) -> Any:
            return Ok(b"\xfe" * (most + 100))

    answers = []
    for lanes in (True, False):
        with bulk.open("decoder", lanes=lanes, host=Generous()) as guest:
            answers.append(carry(guest, "s", bytes(10)))
    assert answers[0] == answers[1] == Ok({"interleaved-f32le": b"\xfe" * 110, "frames": 13, "eof": False})
