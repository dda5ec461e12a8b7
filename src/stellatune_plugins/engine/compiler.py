"""Compiling in child processes: a bomb for the compiler takes a child down, never the host."""

from __future__ import annotations

import collections
import os
import select
import signal
import time
from collections.abc import Callable, Generator, Sequence
from typing import Final, NamedTuple

import msgspec

from stellatune_plugins.engine.compile_process import CompileProcess
from stellatune_plugins.engine.config import EngineSettings
from stellatune_plugins.engine.lanes import Lane
from stellatune_plugins.engine.sealed import Sealed
from stellatune_plugins.engine.wasm_kind import CodeKind
from stellatune_plugins.errors import CompileFailed, CompileLimit, StellatuneError, WasmInvalid

PROGRESS_AFTER_SECONDS: Final = 1.0
PROGRESS_EVERY_SECONDS: Final = 0.5
MOST_THREADS: Final = 8
"""Compiler threads of one child; each reserves address space."""
_SHOWN_CHARACTERS: Final = 300
# How wasmtime and the Rust runtime say that an allocation failed.
_OUT_OF_MEMORY: Final = (
    "memory allocation of",
    "failed to allocate",
    "out of memory",
    "Cannot allocate memory",
    "os error 12",
    "MemoryError",
)
_TOO_LARGE: Final = ("Implementation limit exceeded", "Code for function is too large")

Progress = Callable[[str, float], None]
"""Called with a code's path and the seconds spent on it so far."""


class CompileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling one piece of code may take."""

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    """Address space beyond what an idle compiler process has."""
    wasm_bytes: int = 64 << 20
    processes: int = 2
    """How many are compiled at a time."""


class CompileJob(NamedTuple):
    """WebAssembly that was found to be of its kind, and whose it is."""

    wasm: bytes
    kind: CodeKind
    path: str
    plugin: str | None = None
    lanes: tuple[Lane, ...] = ()
    """What was grafted onto it already."""


class Compiled(NamedTuple):
    """Machine code, to be closed by whoever takes it."""

    code: Sealed
    seconds: float


Outcome = Compiled | StellatuneError


class Compiler:
    """Compiles batches in short-lived children: each serves as many jobs as it survives."""

    def __init__(self, settings: EngineSettings, limits: CompileLimits, on_progress: Progress | None = None) -> None:
        self._settings = settings
        self._limits = limits
        self._on_progress = on_progress

    def run(self, jobs: Sequence[CompileJob]) -> Generator[tuple[int, Outcome]]:
        """Compile all jobs; give each one's index and outcome as it ends.

        The children belong to the thread that iterates: they die when it does, when the iterator is closed, and when
        anything is raised here, Ctrl-C included.
        """
        waiting = collections.deque[int]()
        for index, job in enumerate(jobs):
            if len(job.wasm) <= self._limits.wasm_bytes:
                waiting.append(index)
            else:
                text = f"{job.path} has {len(job.wasm)} bytes, {self._limits.wasm_bytes} are allowed"
                yield index, self._limit(job, "size", text)
        yield from self._run(jobs, waiting)

    def _run(self, jobs: Sequence[CompileJob], waiting: collections.deque[int]) -> Generator[tuple[int, Outcome]]:
        busy: dict[int, _Run] = {}
        idle: list[CompileProcess] = []
        cores = len(os.sched_getaffinity(0))
        places = max(1, min(self._limits.processes, len(waiting), cores))
        threads = min(max(1, cores // places), MOST_THREADS)
        try:
            while waiting or busy:
                while waiting and len(busy) < places:
                    index = waiting.popleft()
                    try:
                        run = self._start(index, jobs[index], idle, threads)
                    except OSError as error:
                        yield index, self._failed(jobs[index], f"no compiler process can be started: {error}")
                    else:
                        busy[run.process.fileno()] = run
                if not busy:
                    break
                ended = self._wait(busy)
                if ended is None:
                    continue
                run, outcome = ended
                del busy[run.process.fileno()]
                if isinstance(outcome, Compiled | WasmInvalid):
                    idle.append(run.process)
                else:
                    run.process.kill()
                yield run.index, outcome
        finally:
            for process in [*idle, *(run.process for run in busy.values())]:
                process.kill()

    def _start(self, index: int, job: CompileJob, idle: list[CompileProcess], threads: int) -> _Run:
        """Hand a job to an idle child, else to a new one.

        Raises:
            OSError: the system has no process, memory or file descriptor left.
        """
        process = idle.pop() if idle else CompileProcess(self._settings, self._limits.memory_bytes, threads)
        run = _Run(process, index, job, time.monotonic())
        try:
            process.begin(job.wasm, job.kind, cpu_seconds=int(self._limits.seconds * threads) + 1)
        except BaseException:
            process.kill()
            raise
        return run

    def _wait(self, busy: dict[int, _Run]) -> tuple[_Run, Outcome] | None:
        """Wait for an answer, a deadline or the next time to show progress, whichever comes first."""
        poll = select.poll()
        for descriptor in busy:
            poll.register(descriptor, select.POLLIN)
        until = min(min(run.started + self._limits.seconds, run.next_progress) for run in busy.values())
        ready = poll.poll(max(0.0, until - time.monotonic()) * 1000 + 1)
        now = time.monotonic()
        for run in busy.values():
            if now >= run.next_progress:
                run.next_progress = now + PROGRESS_EVERY_SECONDS
                if self._on_progress is not None:
                    self._on_progress(run.job.path, now - run.started)
        for descriptor, _ in ready:
            run = busy[descriptor]
            return run, self._outcome(run, now - run.started)
        for run in busy.values():
            if now - run.started >= self._limits.seconds:
                text = f"compiling {run.job.path} took more than {self._limits.seconds:g} seconds"
                return run, self._limit(run.job, "time", text)
        return None

    def _outcome(self, run: _Run, seconds: float) -> Outcome:
        """What an answer means, or the lack of one."""
        job, answer = run.job, run.process.answer()
        if answer is None:
            return self._death(job, run.process)
        text = answer.message
        if answer.status == "done":
            code = run.process.take_code(answer.bytes)
            if code is not None:
                return Compiled(code, seconds)
            text = "its code is not as long as it said"
        elif answer.status == "memory" or any(sign in text for sign in _OUT_OF_MEMORY):
            return self._memory(job)
        elif any(sign in text for sign in _TOO_LARGE):
            return self._limit(job, "size", f"{job.path} has a function too large for the compiler")
        elif answer.status == "invalid":
            return WasmInvalid(f"{job.path}: {_shown(text)}", plugin=job.plugin, operation="compile", path=job.path)
        return self._failed(job, f"the compiler process failed on {job.path}: {_shown(text)}")

    def _death(self, job: CompileJob, process: CompileProcess) -> StellatuneError:
        code, said = process.died()
        if code == -signal.SIGXCPU:
            return self._limit(job, "time", f"compiling {job.path} took too much processor time")
        if any(sign in said for sign in _OUT_OF_MEMORY):
            return self._memory(job)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        text = f"the compiler process died of {how} on {job.path}"
        return self._failed(job, f"{text}: {_shown(said[-_SHOWN_CHARACTERS:])}" if said else text, code)

    def _memory(self, job: CompileJob) -> CompileLimit:
        return self._limit(
            job, "memory", f"compiling {job.path} took more than {self._limits.memory_bytes >> 20} MiB of memory"
        )

    @staticmethod
    def _limit(job: CompileJob, limit: str, text: str) -> CompileLimit:
        return CompileLimit(text, plugin=job.plugin, operation="compile", path=job.path, limit=limit)

    @staticmethod
    def _failed(job: CompileJob, text: str, exit_code: int | None = None) -> CompileFailed:
        return CompileFailed(text, plugin=job.plugin, operation="compile", path=job.path, exit_code=exit_code)


class _Run:
    """One job in one process."""

    def __init__(self, process: CompileProcess, index: int, job: CompileJob, started: float) -> None:
        self.process = process
        self.index = index
        self.job = job
        self.started = started
        self.next_progress = started + PROGRESS_AFTER_SECONDS


def _shown(text: str) -> str:
    """A compiler's message on one line, shortened. It may quote names out of hostile code: no control characters."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text).split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "..."
