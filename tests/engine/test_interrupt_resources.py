"""Closing from outside what a call may be waiting in."""

from __future__ import annotations

from typing import Any

from stellatune_plugins.engine.resources import ResourceTable


def _noting(log: list[str]) -> Any:
    return log.append


def test_only_what_can_be_waited_in_is_closed() -> None:
    """A lock that a guest holds stays its own until the end; everything stays in the table."""
    log: list[str] = []
    table = ResourceTable()
    table.add("host#stream", "one", _noting(log))
    table.add("host#lock", "two", _noting(log))
    table.add("host#stream", "three", _noting(log))
    assert table.interrupt({"host#stream"}) == []
    assert log == ["one", "three"]
    assert len(table) == 3
    table.sweep()
    assert log == ["one", "three", "three", "two", "one"]


def test_one_that_raises_does_not_save_the_others() -> None:
    """All are closed, and what went wrong is given."""

    def broken(value: str) -> None:
        raise OSError(value)

    log: list[str] = []
    table = ResourceTable()
    table.add("host#stream", "one", broken)
    table.add("host#stream", "two", _noting(log))
    assert [str(error) for error in table.interrupt({"host#stream"})] == ["one"]
    assert log == ["two"]
    table.discard(1)
