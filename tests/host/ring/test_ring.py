"""The ring's layout is the contract's, it moves bytes in order, and believes nothing that the other end wrote."""

from __future__ import annotations

import mmap
import os
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stellatune_plugins.host.ring import (
    MAGIC,
    MAX_CAPACITY,
    MIN_CAPACITY,
    RingBroken,
    RingReader,
    RingWriter,
    create_memory,
)

U64 = 2**64 - 1


class Pair:
    """Both ends of one ring, and the file as a stranger sees it."""

    def __init__(self, capacity: int = MIN_CAPACITY) -> None:
        fd = create_memory(capacity)
        self.writer = RingWriter(fd)
        self.reader = RingReader(fd)
        self.raw = mmap.mmap(fd, 0)
        os.close(fd)

    def positions(self) -> tuple[int, int]:
        write, read = struct.unpack_from("=QQ", self.raw, 16)
        return write, read

    def set_write(self, position: int) -> None:
        struct.pack_into("=Q", self.raw, 16, position & U64)

    def set_read(self, position: int) -> None:
        struct.pack_into("=Q", self.raw, 24, position & U64)

    def close(self) -> None:
        self.writer.close()
        self.reader.close()
        self.raw.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A small one."""
    made = Pair()
    yield made
    made.close()


# --- layout and bytes -----------------------------------------------------------------------------------------------


def test_the_layout_is_the_contracts(pair: Pair) -> None:
    """Byte for byte, as a foreign peer reads it."""
    assert len(pair.raw) == 32 + 4096
    assert struct.unpack_from("<IIII", pair.raw) == (0x53544D52, 1, 4096, 0)
    assert pair.positions() == (0, 0)
    pair.writer.write(b"hello")
    assert pair.positions() == (5, 0)
    assert pair.raw[32:37] == b"hello"
    assert pair.reader.read(3) == b"hel"
    assert pair.positions() == (5, 3)


def test_positions_count_on_where_the_bytes_begin_anew(pair: Pair) -> None:
    """They are not reduced to the capacity, which need be no power of two."""
    odd = Pair(5000)
    for round_ in range(7):
        data = bytes([round_]) * 3000
        assert odd.writer.write(data) == 3000
        assert odd.reader.read(9999) == data
    assert odd.positions() == (21000, 21000)
    odd.close()


def test_a_write_takes_what_fits(pair: Pair) -> None:
    """The whole capacity, and 0 once it is full."""
    assert pair.writer.write(bytes(5000)) == 4096
    assert pair.writer.write(b"x") == 0
    assert pair.writer.space() == 0
    assert pair.writer.queued() == 4096
    assert pair.reader.skip(96) == 96
    assert pair.writer.write(bytes(5000)) == 96
    assert pair.reader.readable() == 4096
    target = bytearray(5000)
    assert pair.reader.read_into(memoryview(target)) == 4096
    assert pair.reader.read(1) == b""
    assert pair.reader.skip(1) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9000)), max_size=60), st.integers(MIN_CAPACITY, 9000))
@settings(max_examples=60)
def test_it_is_a_queue(steps: list[tuple[bool, int]], capacity: int) -> None:
    """Compared with a plain list of bytes, over any order of writes and reads of any size."""
    pair, model, rng = Pair(capacity), bytearray(), random.Random(len(steps))
    for is_write, size in steps:
        if is_write:
            data = rng.randbytes(size)
            count = pair.writer.write(data)
            assert count == min(size, capacity - len(model))
            model += data[:count]
        else:
            data = pair.reader.read(size)
            assert data == model[:size]
            del model[:size]
    assert pair.reader.readable() == len(model)
    pair.close()


def test_an_end_that_closed_says_so(pair: Pair) -> None:
    """In the reserved word, after everything that it wrote."""
    pair.writer.write(b"last")
    before = pair.reader.ended
    pair.writer.end()
    after = pair.reader.ended, pair.writer.ended
    assert (before, *after) == (False, True, False)
    assert pair.reader.read(9) == b"last"
    pair.reader.end()
    assert pair.writer.ended


def test_memory_has_bounds() -> None:
    """Neither tiny nor huge, and the file is what its header says."""
    for capacity in (0, MIN_CAPACITY - 1, MAX_CAPACITY + 1):
        with pytest.raises(ValueError, match="ring"):
            create_memory(capacity)
    fd = create_memory(MAX_CAPACITY)
    with RingWriter(fd) as ring:
        assert ring.capacity == MAX_CAPACITY
    os.close(fd)


@pytest.mark.parametrize(
    "header",
    [(0, 1, 4096, 0), (MAGIC, 2, 4096, 0), (MAGIC, 1, 4097, 0), (MAGIC, 1, 2**32 - 1, 0), (MAGIC, 1, 0, 0)],
)
def test_a_file_that_is_no_ring_is_refused(header: tuple[int, int, int, int]) -> None:
    """Before anything of it is believed."""
    fd = create_memory(MIN_CAPACITY)
    os.pwrite(fd, struct.pack("=IIII", *header), 0)
    with pytest.raises(RingBroken):
        RingReader(fd)
    os.close(fd)
    empty = os.memfd_create("empty")
    with pytest.raises(RingBroken):
        RingReader(empty)
    os.close(empty)


# --- a hostile other end --------------------------------------------------------------------------------------------

WRONG_WRITES = [-1, 4096 + 11, 2**32, 2**63, U64, U64 - 4096]
"""Positions that a writer cannot have reached when 10 bytes were written and read."""


@pytest.mark.parametrize("position", WRONG_WRITES)
def test_a_writer_that_lies_breaks_the_ring(pair: Pair, position: int) -> None:
    """Ahead by more than the capacity, or back: the reader says so, and copies nothing."""
    pair.writer.write(bytes(10))
    assert len(pair.reader.read(10)) == 10
    pair.set_write(position if position != -1 else 9)
    for _ in range(2):
        with pytest.raises(RingBroken):
            pair.reader.read(100)


@pytest.mark.parametrize("position", [11, 4096, 2**32, 2**63, U64, 3])
def test_a_reader_that_lies_breaks_the_ring(pair: Pair, position: int) -> None:
    """Ahead of the writer, or back."""
    pair.writer.write(bytes(10))
    pair.reader.read(5)
    pair.writer.space()
    pair.set_read(position)
    with pytest.raises(RingBroken):
        pair.writer.write(b"x")


def test_the_own_position_is_never_read_back(pair: Pair) -> None:
    """Whoever overwrites it confuses himself alone, and the next move puts it right."""
    pair.writer.write(b"abc")
    pair.set_write(77)
    assert pair.writer.write(b"def") == 3
    assert pair.positions() == (6, 0)
    assert pair.reader.read(99) == b"abcdef"
    pair.set_read(3)
    pair.set_write(7)
    assert pair.reader.read(1) == b"\0"
    assert pair.positions() == (7, 7)


def test_a_header_overwritten_later_changes_nothing(pair: Pair) -> None:
    """Magic, version and capacity are read once."""
    pair.writer.write(b"abc")
    struct.pack_into("=III", pair.raw, 0, 0, 99, 2**32 - 1)
    assert pair.reader.read(9) == b"abc"
    assert pair.writer.write(bytes(9000)) == 4096


odd_positions = st.one_of(
    st.integers(0, U64),
    st.integers(0, 3 * 4096),
    st.sampled_from([2**32 - 1, 2**32, 2**63, U64]),
)


@given(st.lists(st.tuples(st.sampled_from("wrWR"), odd_positions), max_size=40))
@settings(max_examples=150)
def test_fuzzed_positions_never_do_more_than_break_it(steps: list[tuple[str, int]]) -> None:
    """Whatever is written there, an operation moves at most a capacity, or says that the ring is broken."""
    pair = Pair()
    for step, number in steps:
        try:
            if step == "w":
                pair.set_write(number)
            elif step == "r":
                pair.set_read(number)
            elif step == "W":
                assert pair.writer.write(bytes(number % 9000)) <= 4096
            else:
                assert len(pair.reader.read(number)) <= 4096
        except RingBroken:
            continue
    pair.close()


def test_a_peer_that_scribbles_all_the_time_cannot_hang_anybody(stress_size: Callable[[int, int], int]) -> None:
    """A thread overwrites positions as fast as it can while both ends work; nothing takes long."""
    fd, stop, rng = create_memory(MIN_CAPACITY), threading.Event(), random.Random(5)
    raw = mmap.mmap(fd, 0)

    def scribble() -> None:
        theirs = random.Random(6)
        while not stop.is_set():
            struct.pack_into("=QQ", raw, 16, theirs.randrange(9000), theirs.randrange(9000))
            struct.pack_into("=I", raw, 12, theirs.randrange(4))

    thread = threading.Thread(target=scribble)
    thread.start()
    moved = broken = 0
    for _ in range(stress_size(2000, 200_000)):
        began = time.monotonic()
        try:
            # Fresh ends each time, as if each had just been opened: broken ones stay broken.
            with RingWriter(fd) as writer, RingReader(fd) as reader:
                moved += writer.write(bytes(rng.randrange(6000)))
                reader.nap(0.0001)
                got = len(reader.read(rng.randrange(6000)))
                assert got <= MIN_CAPACITY
                moved += got
        except RingBroken:
            broken += 1
        assert time.monotonic() - began < 1.0
    stop.set()
    thread.join()
    raw.close()
    os.close(fd)
    assert broken > 0
    assert moved > 0


# --- waiting --------------------------------------------------------------------------------------------------------


def test_a_nap_ends_when_the_other_end_moves(pair: Pair) -> None:
    """By its futex; once it is known to wake us, naps may be long, and none of it shows."""
    taken = []
    for _ in range(20):
        threading.Timer(0.005, lambda: pair.writer.write(b"x")).start()
        began = time.monotonic()
        while not pair.reader.readable():
            pair.reader.nap(1.0)
        taken.append(time.monotonic() - began)
        pair.reader.read(1)
    assert min(taken) < 0.01, taken


def test_a_nap_is_short_where_nobody_wakes_us(pair: Pair) -> None:
    """A peer that only knows the contract is noticed within a millisecond."""
    taken = []
    for _ in range(20):
        began = time.monotonic()
        pair.reader.nap(1.0)
        taken.append(time.monotonic() - began)
    assert min(taken) < 0.001, taken
    assert sorted(taken)[10] < 0.05, taken


def test_another_thread_can_end_a_nap(pair: Pair) -> None:
    """Which is how a close gets through."""
    pair.writer.write(b"x")
    pair.reader.read(1)
    ended = threading.Event()

    def sleep() -> None:
        pair.reader.nap(0.02)
        ended.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    pair.reader.wake_self()
    assert ended.wait(1.0)
    thread.join()
