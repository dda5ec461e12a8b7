"""Warnings of the library's modules: into the program's log, and a line each on standard error."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Self

from stellatune_plugins.cli.text import printable
from stellatune_plugins.observe.logs import main_log

LIBRARY = "stellatune_plugins"


class LogHandler(logging.Handler):
    """Takes what the library logs while a command runs, as a context."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self._log = main_log(folder)
        self._lost = False

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, and keep it."""
        text = record.getMessage()
        sys.stderr.write(f"warning: {printable(text)}\n")
        if self._lost:
            return
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        try:
            self._log.write("log", level=record.levelname.lower(), logger=record.name, message=text, traceback=trace)
        except OSError:
            self._lost = True  # standard error has the message; there is nowhere else to put it

    def __enter__(self) -> Self:
        logging.getLogger(LIBRARY).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(LIBRARY).removeHandler(self)
