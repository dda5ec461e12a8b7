"""How often and how many at once; the clock is the test's."""

from __future__ import annotations

import pytest
from loopback import Listener, until_closed
from net_bench import Bench, case_of

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.egress import Pace, Slots
from stellatune_plugins.host.egress.pace import AT_ONCE
from stellatune_plugins.host.stream import HostStream, OpenRequest, StreamKind


def test_a_burst_and_then_a_rate() -> None:
    """After the burst each one waits for its token; a rest fills up again, to the burst and no further."""
    now = 100.0
    pace = Pace(rate=10, burst=3, clock=lambda: now)
    assert [pace.take(1.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert pace.take(1.0) == pytest.approx(0.1)
    assert pace.take(1.0) == pytest.approx(0.2)
    now += 100
    assert [pace.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    with pytest.raises(PluginFailure, match="too many"):
        pace.take(0.05)


def test_a_refusal_takes_nothing() -> None:
    """Who is told to come later does not make it later by asking."""
    now = 0.0
    pace = Pace(rate=1, burst=1, clock=lambda: now)
    pace.take(0.0)
    for _ in range(100):
        with pytest.raises(PluginFailure):
            pace.take(0.5)
    now += 1.0
    assert pace.take(0.0) == 0.0


def test_slots_come_back_once() -> None:
    """Giving one back twice frees one."""
    slots = Slots(2, "things")
    first, _ = slots.take(), slots.take()
    with pytest.raises(PluginFailure, match="2 things"):
        slots.take()
    first()
    first()
    slots.take()
    with pytest.raises(PluginFailure):
        slots.take()


def test_connections_are_limited_and_given_back(bench: Bench) -> None:
    """16 at once a plugin; a closed one makes room; failed ones take none."""
    with Listener(until_closed) as listener:
        target = f"127.0.0.1:{listener.port}"
        streams = bench.network(f"local:tcp://{target}").streams
        request = OpenRequest(kind=StreamKind.TCP, target=target)
        assert case_of(lambda: streams.open(OpenRequest(kind=StreamKind.TCP, target="10.0.0.1:1"))) == "denied"
        opened: list[HostStream] = [streams.open(request) for _ in range(AT_ONCE)]
        assert case_of(lambda: streams.open(request)) == "io"
        opened.pop().close()
        opened.append(streams.open(request))
        for stream in opened:
            stream.close()
