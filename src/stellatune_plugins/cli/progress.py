"""Progress on a terminal: a bar a file, several at once; in a pipe nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stellatune_plugins.cli.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NAME_WIDTH = 32


class Bars:
    """Bars on standard error while files are rendered, as a context. Where that is no terminal, nothing happens."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._progress: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        self._overall: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._progress = _make()
            self._progress.start()
            if self._files > 1:
                self._overall = self._progress.add_task(f"{self._files} files", total=self._files)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, index: int, path: str) -> None:
        """A file is being rendered."""
        if self._progress is not None:
            name = printable(Path(path).name)
            shown = name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"
            self._tasks[index] = self._progress.add_task(shown, total=None)

    def move(self, index: int, done: int, total: int | None) -> None:
        """So many frames of it are done."""
        if self._progress is not None and index in self._tasks:
            self._progress.update(self._tasks[index], completed=done, total=total)

    def end(self, index: int) -> None:
        """It is done, one way or the other."""
        if self._progress is not None and index in self._tasks:
            self._progress.remove_task(self._tasks.pop(index))
            if self._overall is not None:
                self._progress.advance(self._overall)


class CompileNote:
    """Says what is being compiled and for how long, on a terminal, in one line that goes away again."""

    def __init__(self) -> None:
        self._written = 0

    def __call__(self, path: str, seconds: float) -> None:
        """Called for a compilation that takes over a second, now and then."""
        if sys.stderr.isatty():
            text = f"compiling {printable(path)} ... {seconds:.0f} s"[:79]
            sys.stderr.write("\r" + text.ljust(self._written))
            sys.stderr.flush()
            self._written = len(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._written:
            sys.stderr.write("\r" + " " * self._written + "\r")
            sys.stderr.flush()
            self._written = 0


def _make() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - takes 0.1 s, and only terminals see it
    from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Name(ProgressColumn):
        """The file's name, in which nothing is markup."""

        def render(self, task: object) -> Text:
            return Text(str(getattr(task, "description", "")).ljust(NAME_WIDTH))

    columns = (Name(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
