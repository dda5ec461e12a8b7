"""Sidecar transports between two processes: how fast bytes go in each direction, and how long an answer takes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.race import Call, Race, race
from benchmarks.results import Row
from benchmarks.workshop import Workshop
from stellatune_plugins.host.sidecar import SidecarChannel, TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan, PidPeer, Transports
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind
from stellatune_plugins.testing.channels import CHILD

NAME = "transports"
TITLE = "Sidecar transports"

_MIB = 1 << 20
_AT_ONCE = 16
"""Mebibytes a call: far more than a transport holds by itself."""
_RING = TransportKind.SHARED_MEMORY_RING
_BASELINE = TransportKind.STDIO
_GOAL = _MIB / 500e6
"""Seconds a mebibyte at 500 MB/s."""


def measure(shop: Workshop) -> Iterator[Row]:
    """All kinds in the same rounds; the other end is the kit's, in a Python process of its own."""
    pulled = _together(shop, "stream", lambda channel: lambda: _pull(channel, _AT_ONCE * _MIB), _AT_ONCE)
    pushed = _together(shop, "drain", lambda channel: lambda: _push(channel, bytes(_AT_ONCE * _MIB)), _AT_ONCE)
    answered = _together(shop, "echo", lambda channel: lambda: _ask(channel, b"q" * 64))
    for case, rows in (("1 MiB from the sidecar", pulled), ("1 MiB to the sidecar", pushed)):
        for kind in TransportKind:
            goal = _GOAL if kind is _RING else None
            yield rows.row(NAME, case, kind.value, _BASELINE.value, most_seconds=goal)
    for kind in TransportKind:
        yield answered.row(NAME, "64 bytes there and back", kind.value, _BASELINE.value)


def _together(shop: Workshop, behaviour: str, use: Callable[[SidecarChannel], Call], operations: int = 1) -> Race:
    """One child a kind, all alive at once; an idle one waits and costs nothing."""
    with contextlib.ExitStack() as stack:
        calls = {kind.value: use(stack.enter_context(_opened(kind, behaviour))) for kind in TransportKind}
        return race(calls, shop.seconds(6.0), per=dict.fromkeys(calls, operations))


@contextlib.contextmanager
def _opened(kind: TransportKind, behaviour: str) -> Iterator[SidecarChannel]:
    plan = ChannelPlan(control=(TransportWish(kind.value, 1, None),))
    with tempfile.TemporaryDirectory(prefix="st-") as folder, contextlib.ExitStack() as stack:
        offer = Transports(plan, folder=Path(folder), timeouts=HostTimeouts(), network=True)
        stack.callback(offer.close)
        child = subprocess.Popen(
            [sys.executable, "-I", str(CHILD), behaviour],
            stdin=offer.stdin,
            stdout=offer.stdout,
            stderr=subprocess.DEVNULL,
            pass_fds=offer.inherited,
            env={**os.environ, **offer.environment},
        )
        stack.callback(child.wait)
        stack.callback(child.kill)
        peer = PidPeer(child.pid)
        stack.callback(peer.close)
        offer.started(peer)
        channel = offer.open_control()
        stack.callback(channel.close)
        yield channel


def _pull(channel: SidecarChannel, count: int) -> None:
    while count > 0:
        count -= len(channel.read(min(count, 256 * 1024), None))


def _push(channel: SidecarChannel, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[channel.write(bytes(view[: 256 * 1024])) :]


def _ask(channel: SidecarChannel, question: bytes) -> None:
    channel.write(question)
    left = len(question)
    while left:
        left -= len(channel.read(left, None))
