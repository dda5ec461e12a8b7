"""What guests print, as events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import GuestTrap
from stellatune_plugins.executor.output import MAX_LINE, MAX_PENDING_BYTES, GuestLines
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import Event, GuestOutput, GuestOutputDropped


@pytest.fixture
def bus() -> EventBus:
    """A bus of the test's own."""
    return EventBus()


def _lines(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.stream, e.text) for e in events if isinstance(e, GuestOutput)]


def test_chunks_become_lines(bus: EventBus) -> None:
    """Lines are whole, whatever the guest wrote at once, and each stream has its own."""
    lines = GuestLines(bus, "org.example.a")
    with bus.recording() as events:
        lines.collect("stdout", b"one\ntw")
        lines.collect("stderr", b"oops\n")
        lines.collect("stdout", b"o\nthr")
        lines.flush()
        assert sorted(_lines(events)) == [("stderr", "oops"), ("stdout", "one"), ("stdout", "two")]
        lines.flush(final=True)
    assert _lines(events)[-1] == ("stdout", "thr")
    assert {e.plugin for e in events} == {"org.example.a"}


def test_nothing_is_emitted_while_the_guest_writes(bus: EventBus) -> None:
    """The guest waits meanwhile, so hooks run later."""
    lines = GuestLines(bus, "a")
    with bus.recording() as events:
        lines.collect("stdout", b"one\n")
        assert not events


def test_a_flood_is_dropped_and_counted(bus: EventBus) -> None:
    """What does not fit between two flushes costs no memory."""
    lines = GuestLines(bus, "a")
    with bus.recording() as events:
        for _ in range(1000):
            lines.collect("stdout", b"x" * 999 + b"\n")
        lines.flush()
    kept = len(_lines(events))
    dropped = [e.lines for e in events if isinstance(e, GuestOutputDropped)]
    assert kept == MAX_PENDING_BYTES // 1000
    assert dropped
    assert kept + dropped[0] == 1000


def test_a_line_without_end_is_cut(bus: EventBus) -> None:
    """And does not pile up."""
    lines = GuestLines(bus, "a")
    with bus.recording() as events:
        for _ in range(4):
            lines.collect("stdout", b"x" * (MAX_LINE + 1))
            lines.flush()
    assert len(_lines(events)) == 4
    assert all(len(text) <= MAX_LINE + 1 for _, text in _lines(events))


def test_output_cannot_write_on_the_terminal(bus: EventBus) -> None:
    """Bytes that are no text, and control characters, are replaced."""
    lines = GuestLines(bus, "a")
    with bus.recording() as events:
        lines.collect("stdout", b"\x1b[2Jhi\xff\n")
        lines.flush()
    assert _lines(events) == [("stdout", "[2Jhi\ufffd")]


def test_a_real_guests_output_arrives(stage: Any, talker: bytes) -> None:
    """What it prints in a hook, and its last words before a trap, each stream with its lines."""
    with stage.bus.recording() as events, stage.processor(wasm=talker) as processor:
        assert _lines(events) == [("stdout", "hello"), ("stderr", "[31mred")]
        with pytest.raises(GuestTrap):
            processor.process(np.full((8, 2), 666, np.float32))
    assert _lines(events)[2:] == [("stdout", "from the talker"), ("stderr", "last words")]
