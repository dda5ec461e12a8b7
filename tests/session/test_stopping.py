"""A stop that Python drops is not lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import weakref

import pytest

from stellatune_plugins.session.stopping import StopSignals


class _Thing:
    """Something that can be finalised."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_finaliser_is_known() -> None:
    """Python prints and drops what is raised there; the note stays."""
    thing = _Thing()
    weakref.finalize(thing, os.kill, os.getpid(), signal.SIGINT)
    with StopSignals() as stop:
        assert not stop.seen()
        with contextlib.suppress(KeyboardInterrupt):  # where the interpreter looked a little later
            del thing
        assert stop.seen()


def test_the_handler_before_it_still_answers() -> None:
    """The interrupt is raised as ever, and the handler is back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as stop, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert stop.seen()
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_changes_nothing() -> None:
    """Signals are the main thread's affair."""
    before = signal.getsignal(signal.SIGINT)
    inside: list[object] = []

    def enter() -> None:
        with StopSignals() as stop:
            inside.extend((signal.getsignal(signal.SIGINT), stop.seen()))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert inside == [before, False]
