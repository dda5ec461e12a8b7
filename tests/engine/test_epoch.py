"""Deadlines hold for as long as there is a Store, and the ticker's thread no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreInstance
from stellatune_plugins.engine.epoch import EpochTicker
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import CallDeadline, StellatuneError, StoreMisuse

PATIENCE = 20.0
"""Seconds after which something hangs."""


def bounded(work: Callable[[], None]) -> None:
    """Do it in a thread that the test does not wait for where it hangs."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    if failed:
        raise failed[0]


class StubEngine:
    """Counts epochs; ``each`` runs on the ticker's thread."""

    def __init__(self, each: Callable[[], None] = lambda: None) -> None:
        self.epochs = 0
        self.each = each

    def increment_epoch(self) -> None:
        self.epochs += 1
        self.each()


def ticker_of(engine: StubEngine, seconds: float = 0.0005) -> EpochTicker:
    """A ticker that knows no wasmtime."""
    return EpochTicker(cast("Any", engine), seconds)


def test_a_looping_guest_is_stopped_after_the_engine_was_closed() -> None:
    """Whoever closes in the wrong order waits for the deadline and not for ever; then the thread is gone."""
    engine = WasmEngine()
    store = GuestStore(engine)
    spin = CoreInstance(store, compile_trusted(engine, '(module (func (export "spin") (loop (br 0))))'))
    thread = engine.ticker._thread
    engine.close()
    failures: list[StellatuneError] = []

    def call() -> None:
        with pytest.raises(CallDeadline) as caught:
            spin.call_i32("spin", deadline=0.02)
        failures.append(caught.value)

    bounded(call)
    assert len(failures) == 1
    assert thread is not None
    assert thread.is_alive()
    store.close()
    assert not thread.is_alive()


def test_a_closed_engine_opens_no_store_beside_open_ones() -> None:
    """Stores that are open do not let others in."""
    engine = WasmEngine()
    store = GuestStore(engine)
    engine.close()
    with pytest.raises(StoreMisuse, match="engine was closed"):
        GuestStore(engine)
    store.close()
    with pytest.raises(StoreMisuse, match="engine was closed"):
        GuestStore(engine)


def test_the_thread_ends_with_the_last_store() -> None:
    """Not with the first one, and the second ``close`` changes nothing."""
    engine = WasmEngine()
    stores = [GuestStore(engine) for _ in range(3)]
    thread = engine.ticker._thread
    assert thread is not None
    assert thread.daemon
    engine.close()
    engine.close()
    for store in stores:
        assert thread.is_alive()
        store.close()
    assert not thread.is_alive()


def test_closing_an_idle_engine_ends_the_thread() -> None:
    """The thread rests at that time, and is woken for it."""
    engine = WasmEngine()
    GuestStore(engine).close()
    thread = engine.ticker._thread
    bounded(engine.close)
    assert thread is not None
    assert not thread.is_alive()


def test_close_and_the_last_release_race() -> None:
    """Whichever comes first, both return and the thread is gone."""

    def race(turn: int) -> None:
        ticker = ticker_of(StubEngine(), 0.0)
        ticker.acquire()
        if turn % 3 == 0:
            ticker.acquire()
            ticker.release()
        line = threading.Barrier(2)

        def stop() -> None:
            line.wait()
            ticker.stop()

        other = threading.Thread(target=stop)
        other.start()
        line.wait()
        ticker.release()
        other.join()
        thread = ticker._thread
        assert thread is not None
        assert not thread.is_alive()

    def races() -> None:
        for turn in range(300):
            race(turn)

    bounded(races)


def test_holders_that_come_and_go_always_get_their_ticks() -> None:
    """However a rest and a new holder fall together, epochs go on for the holder."""
    engine = StubEngine()
    ticker = ticker_of(engine, 0.0)

    def hold(turns: int) -> None:
        for _ in range(turns):
            ticker.acquire()
            seen = engine.epochs
            while engine.epochs < seen + 2:
                time.sleep(0)
            ticker.release()

    def crowd() -> None:
        others = [threading.Thread(target=hold, args=(20,), daemon=True) for _ in range(3)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()

    bounded(crowd)
    bounded(ticker.stop)


def test_a_holder_is_let_go_of_in_the_midst_of_another_s_coming() -> None:
    """The garbage collector closes a forgotten Store wherever it likes, this lock's owner included."""
    ticker = ticker_of(StubEngine())
    ticker.acquire()

    def collect() -> None:
        with ticker._lock:
            ticker.release()

    bounded(collect)
    bounded(ticker.stop)


def test_the_last_holder_is_let_go_of_on_the_ticker_s_own_thread() -> None:
    """It does not wait for itself, and ends."""
    engine = StubEngine()
    ticker = ticker_of(engine)
    gone = threading.Event()

    def collect() -> None:
        if ticker._stopping and not gone.is_set():
            gone.set()
            ticker.release()

    engine.each = collect
    ticker.acquire()
    ticker.stop()
    thread = ticker._thread
    assert thread is not None
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_refused_holder_does_not_count() -> None:
    """Its release, which a destructor may do nevertheless, changes nothing."""
    ticker = ticker_of(StubEngine())
    ticker.acquire()
    ticker.stop()
    ticker.release()
    with pytest.raises(StoreMisuse):
        ticker.acquire()
    ticker.release()
    assert ticker._holders == 0
