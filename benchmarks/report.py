"""A run as tables: on the terminal, and as Markdown for the documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table

from benchmarks.race import shown
from benchmarks.results import Row, Run, Spread

HEADS = ("case", "ours", "median", "p99", "baseline", "median", "p99", "ratio", "p99", "target")


def quantity(value: float, unit: str) -> str:
    """A number with its unit."""
    if unit == "B":
        return f"{value / 2**20:.0f} MiB"
    return shown(value)


def factor(value: float) -> str:
    """A ratio."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def cells(row: Row) -> tuple[str, ...]:
    """A row's texts."""

    def pair(spread: Spread) -> tuple[str, str]:
        return quantity(spread.median, row.unit), quantity(spread.p99, row.unit)

    return (
        row.case,
        row.ours,
        *pair(row.measured),
        row.baseline,
        *pair(row.compared),
        factor(row.ratio.median),
        factor(row.ratio.p99),
        verdict(row),
    )


def verdict(row: Row) -> str:
    """The target, and what became of it."""
    if row.target is None:
        return ""
    if row.target.met:
        return f"{row.target.text}: met"
    return f"{row.target.text}: missed by {(row.target.reached / row.target.limit - 1) * 100:.0f} %"


def print_rows(console: Console, title: str, rows: Iterable[Row]) -> None:
    """One subject's table."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, head in enumerate(HEADS):
        table.add_column(head, justify="right" if index in {2, 3, 5, 6, 7, 8} else "left", overflow="fold")
    for row in rows:
        style = None if row.target is None else "green" if row.target.met else "red"
        table.add_row(*cells(row), style=style)
    console.print(table, "")


def markdown(run: Run, titles: dict[str, str]) -> Iterator[str]:
    """Every subject's table and the environment, line by line."""
    for name, title in titles.items():
        rows = [row for row in run.rows if row.subject == name]
        skipped = [skip for skip in run.skipped if skip.subject == name]
        if not rows and not skipped:
            continue
        yield f"### {title}"
        yield ""
        for skip in skipped:
            yield f"Not measured: {skip.reason}."
            yield ""
        if rows:
            yield "| " + " | ".join(HEADS) + " |"
            yield "|" + "|".join("--:" if index in {2, 3, 5, 6, 7, 8} else "---" for index in range(len(HEADS))) + "|"
            for row in rows:
                yield "| " + " | ".join(text.replace("|", "\\|").replace("<", "&lt;") for text in cells(row)) + " |"
            yield ""
            yield f"![{title}](images/bench-{name}.png)"
            yield ""
    yield "### Where"
    yield ""
    for key, value in run.environment.items():
        yield f"- {key}: {value}"
    yield f"- {run.seconds:.0f} seconds in all"
