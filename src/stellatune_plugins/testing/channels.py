"""The conformance suite for sidecar channels: what every transport promises, as named checks over a real process.

::

    @pytest.mark.parametrize("check", channel_checks(), ids=str)
    def test_my_transport(check: ChannelCheck) -> None:
        check.run(my_maker)

A maker starts :mod:`stellatune_plugins.testing.channel_child` with a behaviour, opens a channel to it, and ends both::

    @contextmanager
    def my_maker(behaviour: str, timeouts: HostTimeouts) -> Iterator[ChannelRig]: ...
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import limited
from stellatune_plugins.host.sidecar import SidecarChannel
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.testing.channel_child import pattern

CHILD: Final = Path(__file__).with_name("channel_child.py")
"""The script to start."""

FREED: Final = 1.0
"""Seconds within which an end frees the other."""
LATE: Final = 0.01
"""Seconds by which a wait may miss its time; of several tries, one must not be later."""
_PATIENT: Final = HostTimeouts()


@dataclass(frozen=True)
class ChannelRig:
    """An open channel and the process behind it."""

    channel: SidecarChannel
    child: subprocess.Popen[bytes]


class MakeRig(Protocol):
    """Starts the child with a behaviour."""

    def __call__(self, behaviour: str, timeouts: HostTimeouts) -> AbstractContextManager[ChannelRig]: ...


@dataclass(frozen=True)
class ChannelCheck:
    """One promise. Breaking it raises :class:`AssertionError`."""

    name: str
    promise: str
    function: Callable[[MakeRig], None]

    def run(self, make: MakeRig) -> None:
        """Hold the transport to the promise."""
        self.function(make)

    def __str__(self) -> str:
        return self.name


def channel_checks() -> tuple[ChannelCheck, ...]:
    """All of them."""
    return tuple(_CHECKS)


_CHECKS: list[ChannelCheck] = []


def _check(function: Callable[[MakeRig], None]) -> Callable[[MakeRig], None]:
    name = function.__name__.removeprefix("_")
    _CHECKS.append(ChannelCheck(name, " ".join((function.__doc__ or "").split()), function))
    return function


# --- bytes ----------------------------------------------------------------------------------------------------------


@_check
def _echo_in_order(make: MakeRig) -> None:
    """Every value of a byte, one byte alone, and a few megabytes both ways at once arrive whole and in order."""
    rng = random.Random(7)
    with make("echo", _PATIENT) as rig:
        for data in (b"\n", bytes(range(256)), rng.randbytes(5000)):
            send(rig.channel, data)
            assert receive(rig.channel, len(data)) == data
        data = rng.randbytes(3 << 20)
        writer = threading.Thread(target=send, args=(rig.channel, data))
        writer.start()
        got = receive(rig.channel, len(data))
        writer.join(20)
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


@_check
def _nothing_is_nothing(make: MakeRig) -> None:
    """Writing no bytes and reading up to no bytes does nothing, at once, whatever there is to read."""
    with make("speak:10", _PATIENT) as rig:
        began = time.monotonic()
        assert rig.channel.write(b"") == 0
        assert rig.channel.read(0, None) == b""
        assert time.monotonic() - began < FREED
        assert receive(rig.channel, 10) == pattern(10)


@_check
def _never_more_than_asked(make: MakeRig) -> None:
    """A read gives at most what was asked for; the rest waits for the next."""
    with make("speak:5000", _PATIENT) as rig:
        got = b""
        for most in (1, 2, 3, 1000, 2**32 - 1, 2**32 - 1):
            if len(got) < 5000:
                data = rig.channel.read(most, 5000)
                assert 1 <= len(data) <= most
                got += data
        got += receive(rig.channel, 5000 - len(got))
        assert got == pattern(5000)


# --- time -----------------------------------------------------------------------------------------------------------


@_check
def _reads_keep_the_guests_time(make: MakeRig) -> None:
    """A read that finds nothing gives no bytes, not before its time and not later than 10 ms after it."""
    with make("hold", _PATIENT) as rig:
        for wait in (0.0, 0.03, 0.25):

            def read(wait: float = wait) -> None:
                assert rig.channel.read(100, int(wait * 1000)) == b""

            assert_takes(read, wait)


@_check
def _reads_keep_the_hosts_time(make: MakeRig) -> None:
    """Where the guest names no time, or a longer one, the host's own limit ends the read as a timeout."""
    with make("hold", HostTimeouts(channel_read=0.05)) as rig:
        for asked in (None, 60_000):
            assert_takes(lambda asked=asked: fails("timeout", lambda: rig.channel.read(1, asked)), 0.05)  # type: ignore[misc]


@_check
def _reads_end_with_the_guests_call(make: MakeRig) -> None:
    """What is left of the guest's call bounds a read, with a margin in which the guest can answer."""
    with make("hold", _PATIENT) as rig:
        for _ in range(8):
            with limited(0.2):
                began = time.monotonic()
                fails("timeout", lambda: rig.channel.read(1, 10_000))
                if time.monotonic() - began < 0.2:
                    return
        raise AssertionError("a read outlasts the guest's call every time")


@_check
def _writes_end(make: MakeRig) -> None:
    """A write to somebody who takes nothing ends in its time: a count, nothing (a full ring), or a timeout."""
    with make("hold", HostTimeouts(channel_write=0.1)) as rig:
        deadline, taken = time.monotonic() + 30, 0
        while time.monotonic() < deadline:
            began = time.monotonic()
            try:
                count = rig.channel.write(bytes(8 << 20))
            except PluginFailure as failure:
                assert failure.case == "timeout", failure
                count = 0
            assert time.monotonic() - began < 0.1 + FREED
            taken += count
            if not count:
                break
        else:
            raise AssertionError("writes to somebody who takes nothing succeed for ever")
        assert taken > 0


# --- ends -----------------------------------------------------------------------------------------------------------


@_check
def _close_frees_a_reader(make: MakeRig) -> None:
    """Closing from another thread ends a read that waits, does not wait itself, and may be repeated."""
    with make("hold", _PATIENT) as rig:
        with freed(lambda: rig.channel.read(1, 20_000)):
            began = time.monotonic()
            rig.channel.close()
            assert time.monotonic() - began < FREED / 2
        rig.channel.close()
        fails("io", lambda: rig.channel.read(1, 1000))
        fails("io", lambda: rig.channel.write(b"x"))


@_check
def _close_frees_a_writer(make: MakeRig) -> None:
    """Likewise a write that waits for room."""

    def write_on() -> None:
        while True:
            rig.channel.write(bytes(1 << 20))

    with make("hold", _PATIENT) as rig, freed(write_on):
        rig.channel.close()


@_check
def _kill_frees_a_reader(make: MakeRig) -> None:
    """A read that waits ends as soon as the process is dead."""
    with make("hold", _PATIENT) as rig, freed(lambda: rig.channel.read(1, 20_000)):
        rig.child.send_signal(signal.SIGKILL)


@_check
def _kill_frees_a_writer(make: MakeRig) -> None:
    """Likewise a write that waits for room."""

    def write_on() -> None:
        while True:
            rig.channel.write(bytes(1 << 20))

    with make("hold", _PATIENT) as rig, freed(write_on):
        rig.child.send_signal(signal.SIGKILL)


@_check
def _last_words_are_heard(make: MakeRig) -> None:
    """What a process wrote before it ended is read in full; after that every read fails, at once."""
    with make("speak:3000", _PATIENT) as rig:
        assert rig.child.wait(10) == 0
        assert receive(rig.channel, 3000) == pattern(3000)
        for _ in range(2):
            began = time.monotonic()
            fails("io", lambda: rig.channel.read(1, 20_000))
            assert time.monotonic() - began < FREED


@_check
def _leaves_nothing(make: MakeRig) -> None:
    """Descriptors, threads and shared mappings are as many after a few rounds as before."""
    with make("echo", _PATIENT):
        pass
    before = _possessions()
    for round_ in range(3):
        with make("echo", _PATIENT) as rig:
            send(rig.channel, b"x" * (round_ + 1))
            receive(rig.channel, round_ + 1)
    assert _possessions() == before


# --- tools for makers and tests -------------------------------------------------------------------------------------


def send(channel: SidecarChannel, data: bytes) -> None:
    """All of it."""
    view, deadline = memoryview(data), time.monotonic() + 30
    while view:
        assert time.monotonic() < deadline, "the channel takes no more"
        view = view[channel.write(bytes(view)) :]


def receive(channel: SidecarChannel, count: int) -> bytes:
    """Exactly so much."""
    parts, left, deadline = [], count, time.monotonic() + 30
    while left:
        assert time.monotonic() < deadline, f"{left} bytes of {count} did not come"
        data = channel.read(left, 1000)
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def fails(case: str, action: Callable[[], object]) -> None:
    """The action fails with a ``plugin-error`` of this case."""
    try:
        result = action()
    except PluginFailure as failure:
        assert failure.case == case, failure
    else:
        raise AssertionError(f"no failure, but {result!r}")


def assert_takes(action: Callable[[], None], seconds: float) -> None:
    """The action never ends early, and in one of several tries it ends on time: machines stall, code does not."""
    best = float("inf")
    for _ in range(8):
        began = time.monotonic()
        action()
        taken = time.monotonic() - began
        assert taken >= seconds - 0.001, f"ended after {taken:.4f} s, not {seconds} s"
        best = min(best, taken - seconds)
        if best <= LATE:
            return
    raise AssertionError(f"ended {best * 1000:.1f} ms late at best")


@contextlib.contextmanager
def freed(action: Callable[[], object]) -> Iterator[None]:
    """The action waits in a thread, and fails with ``io`` within a second of whatever the body does."""
    outcome: list[BaseException | object] = []

    def run() -> None:
        try:
            outcome.append(action())
        except PluginFailure as failure:
            outcome.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive(), f"it did not wait: {outcome}"
    began = time.monotonic()
    yield
    thread.join(10)
    assert not thread.is_alive(), "it waits for ever"
    assert time.monotonic() - began < FREED, "it was not freed within a second"
    assert isinstance(outcome[0], PluginFailure), outcome
    assert outcome[0].case == "io", outcome


def _possessions() -> tuple[int, int, int]:
    rings = sum("stellatune-" in line for line in Path("/proc/self/maps").read_text("ascii").splitlines())
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), rings
