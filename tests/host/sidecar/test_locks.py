"""Named locks: one holder, first come first served, freed with their holder."""

from __future__ import annotations

import threading
import time

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import limited
from stellatune_plugins.host.sidecar.locks import MAX_TICKETS, NamedLocks

from .conftest import Rig


def test_one_holder_at_a_time() -> None:
    """Across threads, a thousand times."""
    locks, inside, most = NamedLocks(), [0], [0]

    def work() -> None:
        for _ in range(100):
            guard = locks.lock("a", 30)
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            guard.unlock()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert locks.held() == []


def test_first_come_first_served() -> None:
    """In the order of asking, whoever the system wakes first."""
    locks, order = NamedLocks(), []
    held = locks.lock("a", 1)

    def wait(number: int) -> None:
        guard = locks.lock("a", 30)
        order.append(number)
        guard.unlock()

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(locks._queues["a"]) < number + 2:
            time.sleep(0.001)
    held.unlock()
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_names_are_apart() -> None:
    """One lock does not hold up another."""
    locks = NamedLocks()
    locks.lock("a", 0)
    locks.lock("b", 0)
    assert locks.held() == ["a", "b"]


def test_a_wait_ends_in_time() -> None:
    """And leaves no place in the queue."""
    locks = NamedLocks()
    held = locks.lock("a", 1)
    began = time.monotonic()
    with pytest.raises(PluginFailure) as caught:
        locks.lock("a", 0.1)
    assert caught.value.case == "timeout"
    assert 0.1 <= time.monotonic() - began < 0.6
    held.unlock()
    locks.lock("a", 0).unlock()


def test_unlocking_again_does_nothing() -> None:
    """Not even to the next holder."""
    locks = NamedLocks()
    first = locks.lock("a", 0)
    first.unlock()
    second = locks.lock("a", 0)
    first.unlock()
    assert locks.held() == ["a"]
    second.unlock()


@pytest.mark.parametrize("name", ["", "a\n", "a" * 257])
def test_odd_names_are_invalid(name: str) -> None:
    """A name is something to print."""
    with pytest.raises(PluginFailure) as caught:
        NamedLocks().lock(name, 0)
    assert caught.value.case == "invalid-arg"


def test_a_plugin_takes_only_so_many() -> None:
    """Locks are the host's memory."""
    locks = NamedLocks()
    for number in range(MAX_TICKETS):
        locks.lock(str(number), 0)
    with pytest.raises(PluginFailure, match="256"):
        locks.lock("one more", 0)


def test_deactivation_frees_locks_and_sends_waiters_away(rig: Rig) -> None:
    """Whoever waits is told, and the plugin's next activation finds every lock free."""
    service = rig.serve()
    service.lock("a", None)
    told: list[str] = []

    def wait() -> None:
        try:
            service.lock("a", None)
        except PluginFailure as failure:
            told.append(failure.case)

    thread = threading.Thread(target=wait)
    thread.start()
    while not service._locks._queues.get("a") or len(service._locks._queues["a"]) < 2:
        time.sleep(0.001)
    service.close()
    thread.join(5)
    assert told == ["io"]
    again = rig.serve()
    again.lock("a", 0).unlock()


def test_plugins_share_one_set_over_activations(rig: Rig) -> None:
    """Two services of one plugin in one host meet at the same lock."""
    host = rig.host()
    one, other = rig.serve(host), rig.serve(host)
    guard = one.lock("a", 0)
    with pytest.raises(PluginFailure):
        other.lock("a", 10)
    guard.unlock()
    other.lock("a", 0)


def test_a_wait_keeps_within_the_guests_call(rig: Rig) -> None:
    """Whatever time the guest asks for."""
    service = rig.serve()
    service.lock("a", None)
    began = time.monotonic()
    with limited(0.2), pytest.raises(PluginFailure):
        service.lock("a", 60_000)
    assert time.monotonic() - began < 0.25 + 0.3
