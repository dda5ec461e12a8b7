"""Many renders in parallel processes. One that fails does not stop the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final

from stellatune_plugins.errors import StellatuneError, hides_interrupt
from stellatune_plugins.native.publish import remove_stale_part
from stellatune_plugins.observe import Event
from stellatune_plugins.session import worker as worker_process
from stellatune_plugins.session.jobs import (
    BatchEvent,
    JobEvent,
    JobFailed,
    JobFinished,
    JobProgress,
    JobStarted,
    failure_of,
    run_job,
    throttled,
)
from stellatune_plugins.session.plan import BatchPlan
from stellatune_plugins.session.report import RenderFailure, RenderReport
from stellatune_plugins.session.runtime import build
from stellatune_plugins.session.stopping import StopSignals

STOP_GRACE_S: Final = 5.0
"""Seconds that workers have to stop by themselves, and again after SIGTERM."""

OnEvent = Callable[[BatchEvent], object]
Outcome = RenderReport | RenderFailure


def run_batch(plan: BatchPlan, jobs: int = 1, on_event: OnEvent | None = None) -> list[Outcome]:
    """Run every job of a plan.

    Args:
        plan: what to do.
        jobs: processes at once; with one, the work is done in this process.
        on_event: told what happens, in the caller's thread.

    Returns:
        One outcome a job, in the plan's order.

    Raises:
        KeyboardInterrupt: the user stopped it; every process is gone, and no half file is left.
        StellatuneError: the runtime could not be made.
    """
    tell: OnEvent = on_event or (lambda _: None)
    if not plan.jobs:
        return []
    if jobs <= 1 or len(plan.jobs) == 1:
        return list(_run_here(plan, tell))
    return _Pool(plan, min(jobs, len(plan.jobs)), tell).run()


def _run_here(plan: BatchPlan, tell: OnEvent) -> Iterator[Outcome]:
    with contextlib.closing(build(plan.runtime)) as runtime, StopSignals() as stop:
        current: list[int | None] = [None]

        def pass_on(event: Event) -> None:
            tell(JobEvent(current[0], event))

        unsubscribe = runtime.bus.subscribe(pass_on)
        try:
            for index, job in enumerate(plan.jobs):
                current[0] = index
                tell(JobStarted(index, job))
                try:
                    report = run_job(
                        job,
                        plan.options,
                        runtime,
                        on_progress=throttled(lambda done, total, at=index: tell(JobProgress(at, done, total))),
                        cancelled=stop.seen,
                    )
                except Exception as error:
                    if stop.seen() or hides_interrupt(error):
                        raise KeyboardInterrupt from error
                    # One failure must not stop the others.
                    failure = failure_of(job, error)
                    tell(JobFailed(index, failure))
                    yield failure
                else:
                    tell(JobFinished(index, report))
                    yield report
        finally:
            unsubscribe()


class _Worker:
    """One process and what it is doing."""

    def __init__(self, plan: BatchPlan) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.index: int | None = None
        self.process = context.Process(
            target=worker_process.main, args=(child, plan.runtime, plan.options), name="stellatune-render", daemon=False
        )
        # The child inherits the mask: a Ctrl-C of the terminal must not reach it before it ignores them. The tracker
        # must run already, since starting it would unblock the signal again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            child.close()

    def end(self, deadline: float) -> None:
        """Wait for the end, then enforce it."""
        self.pipe.close()
        self.process.join(max(0.0, deadline - time.monotonic()))
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(STOP_GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class _Pool:
    """Hands jobs to workers and collects what they say."""

    def __init__(self, plan: BatchPlan, size: int, tell: OnEvent) -> None:
        self._plan = plan
        self._size = size
        self._tell = tell
        self._waiting = list(range(len(plan.jobs)))[::-1]
        self._outcomes: dict[int, Outcome] = {}
        self._workers: list[_Worker] = []

    def run(self) -> list[Outcome]:
        try:
            while len(self._outcomes) < len(self._plan.jobs):
                while self._waiting and len(self._workers) < self._size:
                    fresh = _Worker(self._plan)
                    self._workers.append(fresh)
                    self._next(fresh)
                by_pipe = {w.pipe: w for w in self._workers}
                for pipe in wait(list(by_pipe)):
                    self._hear(by_pipe[pipe])  # type: ignore[index]
        finally:
            self._end_all()
        return [self._outcomes[index] for index in range(len(self._plan.jobs))]

    def _next(self, worker: _Worker) -> None:
        """Give a worker its next job; without one it may go."""
        if not self._waiting:
            worker.index = None
            self._workers.remove(worker)
            worker.end(time.monotonic() + STOP_GRACE_S)
            return
        worker.index = index = self._waiting.pop()
        with contextlib.suppress(OSError):  # it died: seen when its pipe is read
            worker.pipe.send((index, self._plan.jobs[index]))
        self._tell(JobStarted(index, self._plan.jobs[index]))

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._lost(worker)
            return
        if isinstance(message, JobFinished | JobFailed):
            outcome = message.report if isinstance(message, JobFinished) else message.failure
            self._outcomes[message.index] = outcome
            self._tell(message)
            self._next(worker)
        else:
            self._tell(message)

    def _lost(self, worker: _Worker) -> None:
        """A worker died in the middle of a job: the job failed, the others go on with a fresh worker."""
        self._workers.remove(worker)
        worker.end(time.monotonic() + STOP_GRACE_S)
        if worker.index is None:
            return
        job = self._plan.jobs[worker.index]
        remove_stale_part(Path(job.output))
        code = worker.process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        failure = failure_of(job, StellatuneError(f"the render's process {how}", operation="render"))
        self._outcomes[worker.index] = failure
        self._tell(JobFailed(worker.index, failure))

    def _end_all(self) -> None:
        for worker in self._workers:
            worker.pipe.close()  # the end of the pipe is the sign to stop
        deadline = time.monotonic() + STOP_GRACE_S
        for worker in self._workers:
            worker.end(deadline)
            if worker.index is not None and worker.index not in self._outcomes:
                remove_stale_part(Path(self._plan.jobs[worker.index].output))
        self._workers.clear()
