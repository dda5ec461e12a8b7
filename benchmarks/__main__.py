"""``python -m benchmarks``: measure, print, save."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import environment, plots, report
from benchmarks.results import Row, Run, Skipped, load
from benchmarks.subjects import SUBJECTS
from benchmarks.workshop import OUT, ROOT, Workshop

DOCS = ROOT / "docs"
PAGE = DOCS / "benchmarks.md"
BEGIN, END = "<!-- results: written by `python -m benchmarks --publish` -->", "<!-- end of results -->"


def measure(names: Sequence[str], *, quick: bool, console: Console) -> Run:
    """Run subjects, and print each one's table as soon as it is there."""
    rows: list[Row] = []
    skipped: list[Skipped] = []
    where, started = environment.describe(), time.perf_counter()
    for name in names:
        module, begun = SUBJECTS[name], time.perf_counter()
        shop = Workshop(quick=quick)
        try:
            found = list(module.measure(shop))
        finally:
            shop.close()
        mine = [row for row in found if isinstance(row, Row)]
        for skip in (row for row in found if isinstance(row, Skipped)):
            skipped.append(skip)
            console.print(f"skipped {skip.subject}: {skip.reason}")
        rows += mine
        report.print_rows(console, f"{module.TITLE} ({time.perf_counter() - begun:.0f} s)", mine)
    where["load after"] = f"{os.getloadavg()[0]:.1f}"
    return Run(
        quick=quick,
        seconds=time.perf_counter() - started,
        environment=where,
        rows=tuple(rows),
        skipped=tuple(skipped),
    )


def summarise(run: Run, console: Console) -> None:
    """Which targets were met."""
    judged = [row for row in run.rows if row.target]
    missed = [row for row in judged if row.target and not row.target.met]
    console.print(f"{len(judged) - len(missed)} of {len(judged)} targets met in {run.seconds:.0f} s", style="bold")
    for row in missed:
        console.print(f"  {row.subject}: {row.case}, {row.ours}: {report.verdict(row)}", style="red", highlight=False)


def save(run: Run, folder: Path) -> Path:
    """Data and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    plots.draw(run, folder)
    return path


def publish(run: Run) -> None:
    """Make a run the reference: its tables, pictures and data in the documents."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    titles = {name: module.TITLE for name, module in SUBJECTS.items()}
    lines = "\n".join(report.markdown(run, titles))
    PAGE.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{after}", "utf-8")
    (DOCS / "images").mkdir(exist_ok=True)
    plots.draw(run, DOCS / "images")
    (DOCS / "benchmarks.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SUBJECTS), help="this subject alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer cases and repetitions: under a minute")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of tables")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for results.json and the pictures")
    parser.add_argument("--publish", action="store_true", help="make this run the reference in docs/")
    parser.add_argument("--from", dest="source", help="take the results from a file instead of measuring")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a missed target is a finding, not a failure."""
    args = parse(argv)
    console = Console(quiet=args.json, width=None if sys.stdout.isatty() else 200)
    if args.source:
        run = load(args.source)
        for name, module in SUBJECTS.items():
            report.print_rows(console, module.TITLE, [row for row in run.rows if row.subject == name])
    else:
        run = measure(args.only or list(SUBJECTS), quick=args.quick, console=console)
    summarise(run, console)
    path = save(run, args.out)
    if args.publish:
        publish(run)
    if args.json:
        print(path.read_text("utf-8"), end="")
    else:
        console.print(f"saved {path}, with a picture a subject beside it", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
