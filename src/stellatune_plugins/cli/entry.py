"""Where the process starts and ends: what every failure looks like, and which exit code it has.

Nothing heavy is imported here: ``stellatune --version`` answers before the command framework is loaded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from stellatune_plugins import __version__

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 it worked, 1 it failed, 2 it was asked for wrongly."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    if tokens == ["--version"]:
        print(f"stellatune {__version__}")  # noqa: T201 - this is the command line
        return EXIT_OK
    # A service manager or a closing terminal ends the work as Ctrl-C does: through the cleanups.
    for name in ("SIGTERM", "SIGHUP"):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # not the main thread, or no such signal
            signal.signal(getattr(signal, name), _interrupt)
    try:
        from stellatune_plugins.cli.app import run  # noqa: PLC0415 - after the quick answers

        code = run(tokens)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; that must not become a second failure at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        # The commands turn this into error[interrupted]; only the moments before and after them come here.
        return EXIT_FAILED
    return code


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
