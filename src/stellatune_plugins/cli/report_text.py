"""A render's report for a person."""

from __future__ import annotations

from collections.abc import Iterator

from stellatune_plugins.cli.text import duration, printable, table
from stellatune_plugins.model import StageReport
from stellatune_plugins.session.report import RenderReport


def report_text(report: RenderReport) -> str:
    """Everything that a listener wants to know about one file."""
    return "\n".join(_lines(report))


def _lines(report: RenderReport) -> Iterator[str]:
    yield f"{printable(report.input)} -> {printable(report.output)}"
    spec = str(report.input_spec)
    if report.output_spec != report.input_spec:
        spec += f" -> {report.output_spec}"
    yield (
        f"  {duration(report.audio_seconds)} of {printable(report.input_codec)}, {spec}, in "
        f"{duration(report.wall_seconds)}: {times(report.times_real_time)} real time"
    )
    before, after = report.before, report.after
    rows = [
        ["loudness", _level(before.loudness_lufs, "LUFS"), _level(after.loudness_lufs, "LUFS")],
        ["loudness range", _level(before.range_lu, "LU"), _level(after.range_lu, "LU")],
        ["peak", _level(before.peak_dbfs, "dBFS"), _level(after.peak_dbfs, "dBFS")],
        ["true peak", _level(before.true_peak_dbtp, "dBTP"), _level(after.true_peak_dbtp, "dBTP")],
    ]
    yield _indented(table(["", "before", "after"], rows, right=frozenset({1, 2})))
    if report.stages:
        head = ["stage", "plugin", "runtime", "path", "time", "share", "latency"]
        rows = [_stage_row(stage, report) for stage in report.stages]
        yield _indented(table(head, rows, right=frozenset({0, 4, 5, 6})))
    for stage in report.stages:
        for note in _notes(stage, report.output_spec.sample_rate):
            yield f"  stage {stage.index + 1}: {printable(note)}"
    for warning in report.warnings:
        yield f"  warning: {printable(warning)}"


def times(factor: float) -> str:
    """How many times real time; what is played comes near one."""
    return f"{factor:.0f} times" if factor >= 9.5 else f"{factor:.1f} times"


def _stage_row(stage: StageReport, report: RenderReport) -> list[str]:
    name = stage.plugin if stage.plugin.endswith(f".{stage.type_id}") else f"{stage.plugin}/{stage.type_id}"
    share = stage.seconds / report.wall_seconds if report.wall_seconds else 0.0
    latency_ms = 1000 * stage.latency / report.output_spec.sample_rate
    return [
        str(stage.index + 1),
        name,
        str(stage.runtime),
        str(stage.path),
        f"{1000 * stage.seconds:.1f} ms",
        f"{share:.1%}",
        f"{latency_ms:.1f} ms",
    ]


def _notes(stage: StageReport, rate: int) -> Iterator[str]:
    """What did not go as it should have."""
    if stage.mapping != "direct":
        yield f"channels mapped: {stage.mapping}"
    if stage.fallback:
        yield f"component calls instead of the hot path: {stage.fallback}"
    if stage.silenced_blocks:
        yield f"{stage.silenced_blocks} blocks had samples that are no numbers, and were silenced"
    for bypass in stage.bypasses:
        until = "to the end" if bypass.until_frame is None else f"to {_at(bypass.until_frame, rate)}"
        yield f"bypassed from {_at(bypass.at_frame, rate)} {until}: {bypass.code}: {bypass.reason}"


def _at(frame: int, rate: int) -> str:
    minutes, seconds = divmod(frame / rate, 60)
    return f"{minutes:.0f}:{seconds:06.3f}"


def _level(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.1f} {unit}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
