"""The helpers that let a render's parts overlap: order, errors, and an end in every case."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from stellatune_plugins.session.threads import DEPTH, Ahead, Behind


def test_everything_arrives_in_order() -> None:
    """Ahead and behind, item for item."""
    got: list[int] = []
    with Behind(got.append, "behind") as writer, Ahead(iter(range(1000)), "ahead") as reader:
        for item in reader:
            writer.put(item)
        writer.finish()
    assert got == list(range(1000))


def test_an_iterators_error_comes_at_its_place() -> None:
    """What was made before it is delivered first."""

    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ZeroDivisionError

    with Ahead(failing(), "ahead") as reader:
        items = iter(reader)
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(ZeroDivisionError):
            next(items)


def test_a_writers_error_stops_the_one_who_puts() -> None:
    """Even one who puts for ever."""

    def fail(_: int) -> None:
        raise ZeroDivisionError

    with Behind(fail, "behind") as writer, pytest.raises(ZeroDivisionError):
        _put_for_ever(writer)


def _put_for_ever(writer: Behind[int]) -> None:
    while True:
        writer.put(1)


def test_leaving_early_ends_the_threads() -> None:
    """A full queue on either side does not keep its thread alive."""
    gate = threading.Event()
    before = threading.active_count()

    def slow(_: int) -> None:
        gate.wait(0.05)

    def endless() -> Iterator[int]:
        while True:
            yield 1

    with Behind(slow, "behind") as writer, Ahead(endless(), "ahead") as reader:
        for count, item in enumerate(reader):
            writer.put(item)
            if count == 2 * DEPTH:
                break
    assert threading.active_count() == before
