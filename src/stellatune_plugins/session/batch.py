"""Many renders in parallel processes. One that fails does not stop the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

import msgspec

from stellatune_plugins.errors import OutputFailed, StellatuneError
from stellatune_plugins.native.publish import remove_stale_part
from stellatune_plugins.observe import Event
from stellatune_plugins.session.plan import BatchPlan
from stellatune_plugins.session.render import Progress, render
from stellatune_plugins.session.report import RenderFailure, RenderJob, RenderOptions, RenderReport
from stellatune_plugins.session.runtime import RenderRuntime, build

PROGRESS_EVERY_S: Final = 0.05
"""Seconds between two progress messages of a job."""
STOP_GRACE_S: Final = 5.0
"""Seconds that workers have to stop by themselves, and again after SIGTERM."""


class JobStarted(msgspec.Struct, frozen=True):
    """A job began. ``index`` is its place in the plan."""

    index: int
    job: RenderJob


class JobProgress(msgspec.Struct, frozen=True):
    """Frames done, and in all as far as known."""

    index: int
    done: int
    total: int | None


class JobEvent(msgspec.Struct, frozen=True):
    """An event of the job's process, such as a bypassed stage; ``index`` is ``None`` between jobs."""

    index: int | None
    event: Event


class JobFinished(msgspec.Struct, frozen=True):
    """A job gave a file."""

    index: int
    report: RenderReport


class JobFailed(msgspec.Struct, frozen=True):
    """A job gave none."""

    index: int
    failure: RenderFailure


BatchEvent = JobStarted | JobProgress | JobEvent | JobFinished | JobFailed
OnEvent = Callable[[BatchEvent], object]
Outcome = RenderReport | RenderFailure


def run_job(
    job: RenderJob,
    options: RenderOptions,
    runtime: RenderRuntime,
    *,
    on_progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RenderReport:
    """One job with everything round it: the output's folder is made, and the picture is drawn where asked for.

    Raises:
        StellatuneError: as :func:`~stellatune_plugins.session.render.render`.
    """
    try:
        Path(job.output).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(f"{error.filename}: {error.strerror}", operation="output.open") from error
    picture = None
    if job.plot is not None:
        # matplotlib is an extra, and slow to import: only for those who want a picture.
        from stellatune_plugins.session.plot import Picture  # noqa: PLC0415

        picture = Picture()
    report = render(
        job,
        options,
        decoder=runtime.decoder,
        chain_factory=runtime.chain,
        sink=runtime.sink,
        on_progress=on_progress,
        cancelled=cancelled,
        tap=picture,
    )
    if picture is not None and job.plot is not None:
        picture.save(Path(job.plot), report, runtime.chain)
    return report


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


def failure_of(job: RenderJob, error: BaseException) -> RenderFailure:
    """What became of a job that raised."""
    if not isinstance(error, StellatuneError):
        error = StellatuneError(f"{type(error).__name__}: {error}", operation="render")
    return RenderFailure(input=job.input, output=job.output, error=error.to_dict())


def _run_here(plan: BatchPlan, tell: OnEvent) -> Iterator[Outcome]:
    with contextlib.closing(build(plan.runtime)) as runtime:
        current: list[int | None] = [None]
        unsubscribe = runtime.bus.subscribe(lambda event: tell(JobEvent(current[0], event)))
        try:
            for index, job in enumerate(plan.jobs):
                current[0] = index
                tell(JobStarted(index, job))
                try:
                    report = run_job(
                        job,
                        plan.options,
                        runtime,
                        on_progress=_throttled(lambda done, total, at=index: tell(JobProgress(at, done, total))),
                    )
                except Exception as error:  # noqa: BLE001 - one failure must not stop the others
                    failure = failure_of(job, error)
                    tell(JobFailed(index, failure))
                    yield failure
                else:
                    tell(JobFinished(index, report))
                    yield report
        finally:
            unsubscribe()


def _throttled(send: Callable[..., object]) -> Progress:
    """Lets a message through now and then, and always the last one."""
    last = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S or done == total:
            last = now
            send(done, total)

    return progress


class _Worker:
    """One process and what it is doing."""

    def __init__(self, plan: BatchPlan) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.index: int | None = None
        self.process = context.Process(
            target=_worker_main, args=(child, plan.runtime, plan.options), name="stellatune-render", daemon=False
        )
        # The child inherits the mask: a Ctrl-C of the terminal must not reach it before it ignores them.
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
                    worker = _Worker(self._plan)
                    self._workers.append(worker)
                    self._next(worker)
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


def _worker_main(pipe: Connection[Any, Any], runtime_spec: Any, options: RenderOptions) -> None:
    """The life of a worker process: jobs come in, messages go out, the end of the pipe is the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit(1)))
    lock = threading.Lock()
    gone = threading.Event()

    def send(message: BatchEvent) -> None:
        with lock:
            try:
                pipe.send(message)
            except OSError:
                gone.set()

    def parent_gone() -> bool:
        # While a job runs the parent sends nothing: whatever can be read is the end of the pipe.
        return gone.is_set() or pipe.poll()

    current: int | None = None
    runtime: RenderRuntime | None = None
    try:
        while not gone.is_set():
            try:
                index, job = pipe.recv()
            except (EOFError, OSError):
                return
            current = index
            try:
                if runtime is None:
                    runtime = build(runtime_spec)
                    runtime.bus.subscribe(lambda event: send(JobEvent(current, event)))
                report = run_job(
                    job,
                    options,
                    runtime,
                    on_progress=_throttled(lambda done, total, at=index: send(JobProgress(at, done, total))),
                    cancelled=parent_gone,
                )
            except Exception as error:  # noqa: BLE001 - one failure must not stop the others
                send(JobFailed(index, failure_of(job, error)))
            else:
                send(JobFinished(index, report))
    finally:
        if runtime is not None:
            runtime.close()
