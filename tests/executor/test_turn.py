"""One user at a time."""

from __future__ import annotations

import threading

import pytest

from stellatune_plugins.errors import StoreMisuse
from stellatune_plugins.executor.turn import Turn


def test_a_second_user_is_told() -> None:
    """Taking what is taken is an error that names the thing."""
    turn = Turn("instance 3")
    with (
        turn.taken("dsp.process"),
        pytest.raises(StoreMisuse, match="instance 3 is in use") as caught,
        turn.taken("config.apply"),
    ):
        pass
    assert caught.value.operation == "config.apply"


def test_it_is_free_again_after_an_error() -> None:
    """An error leaves nothing locked."""
    turn = Turn("x")
    with pytest.raises(KeyError), turn.taken("a"):
        raise KeyError
    with turn.taken("b"):
        pass


def test_a_teardown_waits_for_the_user() -> None:
    """It gets its turn when the call ends."""
    turn, inside, leave = Turn("x"), threading.Event(), threading.Event()

    def call() -> None:
        with turn.taken("call"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=call)
    thread.start()
    assert inside.wait(10)
    with turn.awaited(0.01) as held:
        assert not held
    leave.set()
    with turn.awaited(10) as held:
        assert held
    thread.join()
