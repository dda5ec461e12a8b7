"""Calls that nothing can interrupt, on threads of their own."""

from __future__ import annotations

import threading
import time

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host import blocking
from stellatune_plugins.host.blocking import BlockingCalls
from stellatune_plugins.host.deadline import Cancel, Deadline, Gate


def threads_of(name: str) -> int:
    """Threads that belong to calls of that name."""
    return sum(thread.name == f"{name}-blocking" for thread in threading.enumerate())


def until(condition: object, seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def test_results_and_errors_come_back() -> None:
    """As from a call."""
    calls = BlockingCalls("a")
    assert calls.run(lambda: 42, Deadline(5, "it")) == 42
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0, Deadline(5, "it"))
    calls.close()


def test_one_thread_serves_one_caller() -> None:
    """It is used again, and ends with the close."""
    calls = BlockingCalls("b")
    for _ in range(50):
        calls.run(lambda: None, Deadline(5, "it"))
    assert threads_of("b") <= 2
    calls.close()
    until(lambda: threads_of("b") == 0)


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without a call; the next call starts one again."""
    monkeypatch.setattr(blocking, "IDLE_SECONDS", 0.05)
    calls = BlockingCalls("c")
    assert calls.run(lambda: 1, Deadline(5, "it")) == 1
    until(lambda: threads_of("c") == 0)
    assert calls.run(lambda: 2, Deadline(5, "it")) == 2
    calls.close()


def test_a_result_that_comes_too_late_is_thrown_away() -> None:
    """By the function that was given for that; a late error by nobody."""
    calls = BlockingCalls("d")
    release = threading.Event()
    thrown: list[str] = []

    def late() -> str:
        release.wait(10)
        return "late"

    with pytest.raises(PluginFailure, match=r"looking took longer than 0\.05 s"):
        calls.run(late, Deadline(0.05, "looking"), thrown.append)
    assert thrown == []
    release.set()
    until(lambda: thrown == ["late"])
    calls.close()


def test_stuck_calls_leave_room_up_to_the_limit() -> None:
    """Then others wait for their turn, and time out; what was given up before its turn is never begun."""
    calls = BlockingCalls("e", limit=2)
    release = threading.Event()
    stuck: list[int] = []

    def hang() -> None:
        stuck.append(1)
        release.wait(60)

    while len(stuck) < 2:
        with pytest.raises(PluginFailure):
            calls.run(hang, Deadline(0.1, "it"))
    begun: list[int] = []
    with pytest.raises(PluginFailure) as failed:
        calls.run(lambda: begun.append(1), Deadline(0.05, "it"))
    assert failed.value.case == "timeout"
    assert threads_of("e") == 2
    release.set()
    assert calls.run(lambda: "free", Deadline(10, "it")) == "free"
    assert begun == []
    calls.close()


def test_after_close_nothing_runs() -> None:
    """``io``, at once; a call that hangs does not hold up the close."""
    calls = BlockingCalls("f")
    release = threading.Event()
    with pytest.raises(PluginFailure):
        calls.run(lambda: release.wait(10), Deadline(0.02, "it"))
    calls.close()
    calls.close()
    with pytest.raises(PluginFailure) as failed:
        calls.run(lambda: 1, Deadline(5, "it"))
    assert failed.value.case == "io"
    release.set()
    until(lambda: threads_of("f") == 0)


def test_a_cancel_ends_the_waiting() -> None:
    """Not the call."""
    calls = BlockingCalls("g")
    cancel = Cancel()
    release = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(PluginFailure, match="closed"):
        calls.run(lambda: release.wait(10), Deadline(10, "it", cancel))
    assert time.monotonic() - start < 2.0
    release.set()
    calls.close()


def test_callers_in_many_threads() -> None:
    """Each gets its own result."""
    calls = BlockingCalls("h", limit=4)
    results: dict[int, list[int]] = {}

    def caller(number: int) -> None:
        results[number] = [calls.run(lambda n=n: number * 1000 + n, Deadline(20, "it")) for n in range(100)]  # type: ignore[misc]

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [number * 1000 + n for n in range(100)] for number in range(8)}
    assert threads_of("h") <= 4
    calls.close()


def test_a_gate_puts_away_once_and_by_whoever_is_last() -> None:
    """The closer where nobody is inside, else the one who was."""
    put_away: list[str] = []
    gate = Gate(lambda: put_away.append(threading.current_thread().name))
    inside, leave = threading.Event(), threading.Event()

    def user() -> None:
        with gate.inside():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=user, name="user")
    thread.start()
    inside.wait(10)
    with pytest.raises(PluginFailure, match="another thread"), gate.inside():
        pass
    gate.close()
    gate.close()
    assert put_away == []
    leave.set()
    thread.join()
    gate.close()
    assert put_away == ["user"]
    with pytest.raises(PluginFailure, match="closed"), gate.inside():
        pass


def test_a_deadlines_part_ends_with_the_whole() -> None:
    """A part may be shorter, never longer."""
    whole = Deadline(0.2, "all of it")
    assert whole.sooner(10, "a part").left() <= 0.2
    assert whole.sooner(0.1, "a part").left() <= 0.1
    with pytest.raises(PluginFailure, match=r"a part took longer than 0\.01 s"):
        whole.sooner(0.01, "a part").wait(threading.Event())
