"""One job of a batch, and the messages that tell what becomes of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import OutputFailed, StellatuneError
from stellatune_plugins.observe import Event
from stellatune_plugins.session.render import Progress, render
from stellatune_plugins.session.report import RenderFailure, RenderJob, RenderOptions, RenderReport
from stellatune_plugins.session.runtime import RenderRuntime

PROGRESS_EVERY_S: Final = 0.05
"""Seconds between two progress messages of a job."""


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
    if job.target is None:
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
        source=None if job.item is None else runtime.source,
        on_progress=on_progress,
        cancelled=cancelled,
        tap=picture,
    )
    if picture is not None and job.plot is not None:
        picture.save(Path(job.plot), report, runtime.chain)
    return report


def failure_of(job: RenderJob, error: BaseException) -> RenderFailure:
    """What became of a job that raised."""
    if not isinstance(error, StellatuneError):
        trace = "".join(traceback.format_exception(error))
        error = StellatuneError(f"{type(error).__name__}: {error}", operation="render", traceback=trace)
    return RenderFailure(input=job.input, output=job.output, error=error.to_dict())


def throttled(send: Callable[..., object]) -> Progress:
    """Lets a message through now and then, and always the last one."""
    last = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S or done == total:
            last = now
            send(done, total)

    return progress
