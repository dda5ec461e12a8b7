"""Timing: everything that is compared runs in the same rounds, one burst after the other.

A machine that slows down slows all of them down, so the ratio of one round is worth more than any single time; of a
round's time, the median over the rounds counts. Rounds in which somebody else had the processor are dropped. The 99th
percentile is of single calls, timed one by one.
"""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.results import Row, Seconds, Spread, Target

Call = Callable[[], object]
Clock = Callable[[], float]
_SINGLES_A_ROUND = 20
# Shorter than a scheduler's time slice, so that on a busy machine most bursts run undisturbed.
_BURST_SECONDS = 0.001
_UNDISTURBED = 0.9
"""The share of a burst that its thread must have had a processor. Other rounds are dropped, if enough are left."""


@dataclass
class Race:
    """What came out: seconds an operation, by contestant."""

    rounds: dict[str, Seconds]
    singles: dict[str, Seconds] = field(default_factory=dict)

    def spread(self, name: str) -> Spread:
        """One contestant."""
        return Spread.of(self.rounds[name], self.singles.get(name))

    def ratio(self, ours: str, baseline: str) -> Spread:
        """Round by round."""
        return Spread.of(self.rounds[ours] / self.rounds[baseline])

    def derive(self, name: str, values: Seconds) -> None:
        """Add what was computed from others, round by round; an impossible value below a nanosecond counts as one."""
        self.rounds[name] = np.maximum(values, 1e-9)

    def row(
        self,
        subject: str,
        case: str,
        ours: str,
        baseline: str,
        *,
        most_seconds: float | None = None,
        most_ratio: float | None = None,
        unit: str = "s",
        note: str = "",
    ) -> Row:
        """One line of the table, with its target, if there is one, in seconds or as a ratio."""
        measured, ratio = self.spread(ours), self.ratio(ours, baseline)
        target = None
        if most_seconds is not None:
            target = Target(f"<= {shown(most_seconds)}", most_seconds, measured.median)
        elif most_ratio is not None:
            target = Target(f"<= {most_ratio:g} of {baseline}", most_ratio, ratio.median)
        return Row(
            subject=subject,
            case=case,
            ours=ours,
            baseline=baseline,
            measured=measured,
            compared=self.spread(baseline),
            ratio=ratio,
            unit=unit,
            target=target,
            note=note,
        )


def race(
    calls: Mapping[str, Call],
    seconds: float,
    *,
    least_rounds: int = 15,
    per: Mapping[str, int] | None = None,
    clock: Clock = time.perf_counter,
) -> Race:
    """Time calls against each other.

    Args:
        calls: by name.
        seconds: about how long all of it may take.
        least_rounds: how often each is measured at the least.
        per: operations that one call does, where it is more than one.
        clock: ``time.thread_time`` for calls that take many time slices and do everything on this thread: on a busy
            machine others have the processor in the middle of each.
    """
    per = per or {}
    once = {name: _warm(call) for name, call in calls.items()}
    counts = {name: max(1, int(_BURST_SECONDS / once[name])) for name in calls}
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    singles: dict[str, list[float]] = {name: [] for name in calls}
    undisturbed: list[bool] = []
    names = list(calls)
    end = time.perf_counter() + seconds
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in itertools.count():
            if turn >= least_rounds and time.perf_counter() >= end:
                break
            quiet = True
            for name in names:
                operations = per.get(name, 1)
                on_processor = time.thread_time()
                taken = _burst(calls[name], counts[name], clock)
                on_processor = (time.thread_time() - on_processor) / counts[name]
                quiet &= on_processor > _UNDISTURBED * taken
                rounds[name].append(taken / operations)
                if counts[name] > 1:
                    times = _one_by_one(calls[name], min(counts[name], _SINGLES_A_ROUND))
                    singles[name] += [t / operations for t in times]
            names = [*names[1:], names[0]]
            undisturbed.append(quiet)
    finally:
        if was_enabled:
            gc.enable()
    kept = np.array(undisturbed)
    if kept.sum() < least_rounds:
        kept[:] = True
    return Race(
        {name: np.array(times)[kept] for name, times in rounds.items()},
        {name: np.array(times) for name, times in singles.items() if times},
    )


def _warm(call: Call) -> float:
    """Seconds of one call, about, once everything is in its place."""
    first = _burst(call, 1)
    if first > 10 * _BURST_SECONDS:
        return first
    count, taken = 1, 0.0
    while taken < 0.002:
        taken = _burst(call, count) * count
        count *= 2
    return taken / (count / 2)


def _burst(call: Call, count: int, clock: Clock = time.perf_counter) -> float:
    """Mean seconds a call."""
    again = itertools.repeat(None, count)
    start = clock()
    for _ in again:
        call()
    return (clock() - start) / count


def _one_by_one(call: Call, count: int) -> list[float]:
    now = time.perf_counter
    times = []
    for _ in range(count):
        start = now()
        call()
        times.append(now() - start)
    return times


@dataclass(frozen=True)
class Process:
    """One process that ran to its end."""

    wall: float
    cpu: float
    """User and system, children included."""
    rss: int
    """Bytes, the most that it held at once; its largest child's where that is more."""


# A child inherits its parent's peak of memory, so a small process starts it; that one also keeps the time.
_STARTER = """
import os, sys, time
silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silence)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - start
print(os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
"""


def run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
    """Run a command and see what it took.

    Args:
        command: the first part is a path.
        environment: of the process; this one's by default.

    Raises:
        RuntimeError: it failed; what it said is in the message.
    """
    starter = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _STARTER, *command],
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    code, wall, cpu, rss = starter.stdout.split()
    if int(code):
        raise RuntimeError(f"{command[0]} ended with {code}: {starter.stderr[-500:]}")
    return Process(float(wall), float(cpu), int(rss))


def race_processes(commands: Mapping[str, Callable[[], Process]], rounds: int) -> dict[str, list[Process]]:
    """Run each command once a round, in turn."""
    taken: dict[str, list[Process]] = {name: [] for name in commands}
    names = list(commands)
    for _ in range(rounds):
        for name in names:
            taken[name].append(commands[name]())
        names = [*names[1:], names[0]]
    return taken


def of_processes(taken: Mapping[str, Sequence[Process]], what: str) -> Race:
    """One quantity of processes, ``wall``, ``cpu`` or ``rss``, as a race."""
    return Race({name: np.array([float(getattr(p, what)) for p in runs]) for name, runs in taken.items()})


def shown(seconds: float) -> str:
    """A time as people write it."""
    for limit, factor, unit in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"
