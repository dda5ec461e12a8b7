"""The life of a worker process: jobs come in, messages go out, the end of the pipe is the end."""

from __future__ import annotations

import contextlib
import signal
import threading
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from stellatune_plugins.observe import Event
from stellatune_plugins.session.jobs import (
    BatchEvent,
    JobEvent,
    JobFailed,
    JobFinished,
    JobProgress,
    failure_of,
    run_job,
    throttled,
)
from stellatune_plugins.session.report import RenderJob, RenderOptions
from stellatune_plugins.session.runtime import RenderRuntime, RuntimeSpec, build


def main(pipe: Connection[Any, Any], spec: RuntimeSpec, options: RenderOptions) -> None:
    """Run jobs until the pipe ends.

    The terminal's Ctrl-C is the parent's to act on: it closes the pipe. SIGTERM unwinds, so that no half file is left.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _unwind)
    with contextlib.closing(_Worker(pipe, spec, options)) as worker, contextlib.suppress(EOFError, OSError):
        while True:
            worker.work(*pipe.recv())


def _unwind(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


class _Worker:
    """Makes its runtime with the first job, so that a runtime which cannot be made is that job's failure."""

    def __init__(self, pipe: Connection[Any, Any], spec: RuntimeSpec, options: RenderOptions) -> None:
        self._pipe = pipe
        self._spec = spec
        self._options = options
        self._runtime: RenderRuntime | None = None
        self._index: int | None = None
        self._lock = threading.Lock()  # events come from several threads
        self._gone = False

    def work(self, index: int, job: RenderJob) -> None:
        self._index = index
        progress = throttled(lambda done, total: self._send(JobProgress(index, done, total)))
        try:
            if self._runtime is None:
                self._runtime = build(self._spec)
                self._runtime.bus.subscribe(self._pass_on)
            report = run_job(job, self._options, self._runtime, on_progress=progress, cancelled=self._parent_gone)
        except Exception as error:  # noqa: BLE001 - one failure must not stop the others
            self._send(JobFailed(index, failure_of(job, error)))
        else:
            self._send(JobFinished(index, report))

    def close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()

    def _send(self, message: BatchEvent) -> None:
        with self._lock:
            try:
                self._pipe.send(message)
            except OSError:
                self._gone = True

    def _pass_on(self, event: Event) -> None:
        self._send(JobEvent(self._index, event))

    def _parent_gone(self) -> bool:
        # While a job runs the parent sends nothing: whatever can be read is the end of the pipe.
        return self._gone or self._pipe.poll()
