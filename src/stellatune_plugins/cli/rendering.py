"""``stellatune render``: what it does."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stellatune_plugins.cli import failures
from stellatune_plugins.cli.entry import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from stellatune_plugins.cli.first_use import offer
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.plugin_spec import PluginSpec
from stellatune_plugins.cli.progress import Bars
from stellatune_plugins.cli.report_text import report_text, times
from stellatune_plugins.cli.runtime import decodable_extensions, prepare
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import OutputExists, UsageError
from stellatune_plugins.model import AbilityKind, RuntimeRoute
from stellatune_plugins.session import (
    BatchEvent,
    BatchPlan,
    JobEvent,
    JobFailed,
    JobFinished,
    JobProgress,
    JobStarted,
    RenderFailure,
    RenderOptions,
    RenderReport,
    plan_batch,
    plan_items,
    plan_playing,
    run_batch,
)
from stellatune_plugins.session.chain_builder import StageRequest
from stellatune_plugins.session.plugin_runtime import PluginChoice, runtime_spec
from stellatune_plugins.session.report import OutputFormat, SampleBits

_FORMATS: dict[str, tuple[OutputFormat, SampleBits | None]] = {
    "wav": ("wav", None),
    "wav16": ("wav", "16"),
    "wav24": ("wav", "24"),
    "wav32f": ("wav", "32f"),
    "flac": ("flac", None),
    "flac16": ("flac", "16"),
    "flac24": ("flac", "24"),
    "ogg": ("ogg", None),
    "opus": ("opus", None),
}


_log = logging.getLogger(__name__)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; see the options of ``stellatune render``."""

    inputs: tuple[str, ...]
    output: Path | None
    sink: PluginSpec | None
    target_json: str | None
    stages: tuple[PluginSpec, ...]
    decoder: PluginSpec | None
    source: PluginSpec | None
    rate: int | None
    format: str | None
    jobs: int | None
    route: RuntimeRoute
    plot: Path | None
    force: bool
    tail: bool
    strict: bool


def carry_out(wish: Wish, common: Common) -> int:
    """Plan, prepare, render, report; gives the exit code."""
    container, bits = _FORMATS[wish.format] if wish.format else (None, None)
    options = RenderOptions(rate=wish.rate, format=container, bits=bits, overwrite=wish.force, tail=wish.tail)
    stages = [StageRequest(*stage) for stage in wish.stages]
    with Workbench(common) as bench:
        plan = _plan(wish, bench, options, stages)
        if wish.plot is not None and wish.output is not None:
            plan = _with_pictures(plan, wish.plot, wish.output, force=wish.force)
        named = _named(wish)
        if named:
            prepare(bench.home, named, wish.route, bench.bus, bench.compile_note)
        started = time.perf_counter()
        with Bars(len(plan.jobs)) as bars:
            outcomes = run_batch(plan, _at_once(wish), _teller(bars, bench.bus.emit))
        seconds = time.perf_counter() - started
    if common.json:
        _show_json(outcomes, seconds)
    else:
        _show_text(outcomes, seconds)
        _offer(outcomes, common)
    return _exit_code(outcomes)


def _plan(wish: Wish, bench: Workbench, options: RenderOptions, stages: Sequence[StageRequest]) -> BatchPlan:
    """From inputs to jobs: files and folders, or a source's tracks; to files, or to a sink."""
    decoder, source, sink = (
        None if spec is None else PluginChoice(*spec) for spec in (wish.decoder, wish.source, wish.sink)
    )
    runtime = runtime_spec(
        bench.home, wish.route, stages, decoder=decoder, source=source, sink=sink, strict=wish.strict
    )
    if source is not None and wish.output is not None:
        return plan_items(wish.inputs, wish.output, options=options, runtime=runtime)
    folders = source is None and any(Path(path).is_dir() for path in wish.inputs)
    extensions = decodable_extensions(bench.home, wish.route, bench.bus) if folders else ()
    if wish.output is None:
        name = "" if sink is None else sink.plugin
        target = wish.target_json or "{}"
        return plan_playing(
            wish.inputs,
            sink=name,
            target_json=target,
            items=source is not None,
            extensions=extensions,
            options=options,
            runtime=runtime,
        )
    return plan_batch(wish.inputs, wish.output, extensions=extensions, options=options, runtime=runtime)


def _named(wish: Wish) -> list[tuple[AbilityKind, PluginSpec]]:
    """Every plugin that the user named, and what for."""
    named = [(AbilityKind.DSP, spec) for spec in wish.stages]
    if wish.decoder is not None:
        named.append((AbilityKind.DECODER, wish.decoder))
    if wish.source is not None:
        named.append((AbilityKind.SOURCE, wish.source))
    if wish.sink is not None:
        named.append((AbilityKind.OUTPUT_SINK, wish.sink))
    return named


def _with_pictures(plan: BatchPlan, plot: Path, output: Path, *, force: bool) -> BatchPlan:
    """Say for every job where its picture goes."""
    if len(plan.jobs) == 1 and not plot.is_dir():
        if plot.suffix.lower() != ".png":
            raise UsageError(f"--plot {plot}: a picture is a PNG", hint="name a file that ends in .png")
        places = [plot]
    else:
        if plot.exists() and not plot.is_dir():
            raise UsageError(f"--plot {plot} is a file; several pictures need a folder")
        places = [plot / _below(Path(job.output), output).with_suffix(".png") for job in plan.jobs]
    there = [place for place in places if place.exists()]
    if there and not force:
        raise OutputExists(f"{there[0]} is there already", operation="render.plan")
    jobs = tuple(msgspec.structs.replace(job, plot=str(place)) for job, place in zip(plan.jobs, places, strict=True))
    return msgspec.structs.replace(plan, jobs=jobs)


def _below(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) and path != folder else Path(path.name)


def _at_once(wish: Wish) -> int:
    """Files at the same time; music is played one after the other."""
    return 1 if wish.sink is not None else wish.jobs or _processors()


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _teller(bars: Bars, emit: Callable[[Any], object]) -> Callable[[BatchEvent], None]:
    """What happens goes to the bars, the logs and whoever else listens."""

    def tell(event: BatchEvent) -> None:
        match event:
            case JobStarted():
                bars.begin(event.index, event.job.input)
            case JobProgress():
                bars.move(event.index, event.done, event.total)
            case JobFinished() | JobFailed():
                bars.end(event.index)
                if isinstance(event, JobFailed) and "traceback" in event.failure.error.get("details", {}):
                    _log.error("a render failed unexpectedly:\n%s", event.failure.error["details"]["traceback"])
            case JobEvent():
                emit(event.event)

    return tell


def _show_json(outcomes: Sequence[RenderReport | RenderFailure], seconds: float) -> None:
    failed = [outcome for outcome in outcomes if isinstance(outcome, RenderFailure)]
    data: dict[str, Any] = {
        "reports": [outcome for outcome in outcomes if isinstance(outcome, RenderReport)],
        "failures": failed,
        "seconds": seconds,
    }
    print_json(data | ({"error": failed[0].error} if failed else {}))


def _show_text(outcomes: Sequence[RenderReport | RenderFailure], seconds: float) -> None:
    reports = [outcome for outcome in outcomes if isinstance(outcome, RenderReport)]
    for outcome in outcomes:
        if isinstance(outcome, RenderReport):
            print_text(report_text(outcome))
        else:
            error = dict(outcome.error)
            if len(outcomes) > 1 and outcome.input not in error["message"]:
                error["message"] = f"{outcome.input}: {error['message']}"
            failures.show(error, as_json=False)
    if len(outcomes) > 1:
        audio = sum(report.audio_seconds for report in reports)
        print_text(
            f"{len(reports)} of {len(outcomes)} files, {audio:.0f} s of audio in {seconds:.1f} s: "
            f"{times(audio / seconds)} real time"
        )


def _offer(outcomes: Sequence[RenderReport | RenderFailure], common: Common) -> None:
    """Where plugins were denied something: ask for it, each thing once."""
    denied = {
        (error["plugin"], error["details"]["grant"])
        for outcome in outcomes
        if isinstance(outcome, RenderFailure) and (error := outcome.error).get("details", {}).get("grant") is not None
    }
    for plugin, grant in sorted(denied):
        offer(plugin, grant, common)


def _exit_code(outcomes: Sequence[RenderReport | RenderFailure]) -> int:
    codes = {outcome.error["code"] for outcome in outcomes if isinstance(outcome, RenderFailure)}
    if not codes:
        return EXIT_OK
    return EXIT_USAGE if codes == {UsageError.code} else EXIT_FAILED
