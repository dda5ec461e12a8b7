"""A sidecar that does to its rings whatever it can: the host fails cleanly, in time, and stays alive."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest
from sidecar_rigs import spawned

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan
from stellatune_plugins.testing.channels import FREED, receive, send

CAPACITY = 8192
PLAN = ChannelPlan(control=(TransportWish("shared-memory-ring", 1, CAPACITY),))

PEER = """
import ctypes, mmap, os, random, struct, sys, time
ends = dict(part.split("=") for part in os.environ["STELLATUNE_SIDECAR_CONTROL_SHM"].split(";"))
fds = [os.open(ends[end], os.O_RDWR) for end in ("tx", "rx")]
maps = [mmap.mmap(fd, 0) for fd in fds]
tx, rx = maps
rng = random.Random(int(sys.argv[1]))
"""
SCRIBBLE = (
    PEER
    + """
while True:
    for ring in maps:
        what = rng.randrange(4)
        if what == 0:
            struct.pack_into("=Q", ring, rng.choice([16, 24]), rng.choice([0, 1, 5000, 2**32, 2**63, 2**64 - 1]))
        elif what == 1:
            struct.pack_into("=QQ", ring, 16, rng.randrange(20000), rng.randrange(20000))
        elif what == 2:
            ring[0:32] = rng.randbytes(32)
        else:
            at = rng.randrange(32, len(ring) - 64)
            ring[at : at + 64] = rng.randbytes(64)
"""
)
CREEP = (
    PEER
    + """
sent, received = (memoryview(ring)[16:32].cast("Q") for ring in maps)  # whole words: struct moves byte by byte
position = 0
while True:  # plausible positions, as fast as it goes, of bytes that nobody wrote
    position = max(position, received[1] + rng.randrange(8193))
    received[0] = position
    sent[1] = sent[0]
"""
)
SABOTAGE = (
    PEER
    + """
libc = ctypes.CDLL(None, use_errno=True)
for fd in fds:
    for size in (0, 31, 33, 1 << 24):
        try:
            os.ftruncate(fd, size)
        except PermissionError:
            continue
        os._exit(7)
    KEEP_SIZE, PUNCH_HOLE = 1, 2
    libc.fallocate(fd, KEEP_SIZE | PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(1 << 20))
os.write(1, b"done")
os.read(0, 1)
"""
)


def use(offer_seed: int, script: str, rounds: int) -> tuple[int, int]:
    """Read and write against such a peer; how often that went well, and how often it failed."""
    well = badly = 0
    with spawned(PLAN, [sys.executable, "-I", "-c", script, str(offer_seed)]) as (offer, _):
        channel = offer.open_control()
        for _ in range(rounds):
            began = time.monotonic()
            try:
                assert 0 <= channel.write(bytes(3000)) <= 3000
                assert len(channel.read(5000, 5)) <= 5000
                well += 1
            except PluginFailure as failure:
                if failure.case != "io":
                    raise
                badly += 1
            assert time.monotonic() - began < FREED
        channel.close()
    return well, badly


@pytest.mark.stress
def test_scribbling_breaks_nothing_but_the_ring(stress_size: Callable[[int, int], int]) -> None:
    """Over the header, the positions and the bytes, at any moment: at most the channel is broken, and stays so."""
    failed = sum(use(seed, SCRIBBLE, 60)[1] for seed in range(stress_size(4, 200)))
    assert failed > 0


def test_plausible_lies_give_bytes_that_are_there() -> None:
    """A writer that claims more than it wrote: what is read is the ring's old bytes."""
    assert use(1, CREEP, 200) == (200, 0)


def test_the_memory_cannot_be_taken_away() -> None:
    """Cutting short, growing and punching holes: at worst the ring's header is zeros, and positions went back."""
    with spawned(PLAN, [sys.executable, "-I", "-c", SABOTAGE, "0"]) as (offer, child):
        channel = offer.open_control()
        assert channel.write(bytes(100)) == 100
        stdio = offer._stdio.try_open()
        assert receive(stdio, 4) == b"done"
        assert child.poll() is None
        for action in (lambda: channel.write(bytes(9000)), lambda: channel.read(100, 10)):
            began = time.monotonic()
            try:
                action()
            except PluginFailure as failure:
                if failure.case != "io":
                    raise
            assert time.monotonic() - began < FREED
        send(stdio, b"x")
        assert child.wait(5) == 0
        stdio.close()
        channel.close()
