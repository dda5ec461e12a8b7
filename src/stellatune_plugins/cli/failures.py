"""Failures as the user sees them: ``error[CODE]: what, where`` and ``hint: what to do``, or the same as JSON."""

from __future__ import annotations

import sys
from typing import Any

from stellatune_plugins.cli.text import printable
from stellatune_plugins.errors import StellatuneError

_RED, _DIM, _PLAIN = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


def lines(error: StellatuneError, *, colour: bool = False) -> str:
    """The text of an error, hint included; several problems stand on a line each."""
    red, dim, plain = (_RED, _DIM, _PLAIN) if colour else ("", "", "")
    problems = error.details.get("problems") or ()
    if len(problems) > 1:
        what = f"{len(problems)} problems" + (f", {error.where}" if error.where else "")
        text = [f"{red}error[{error.code}]{plain}: {error.message.partition(':')[0]}: {what}"]
        text += [f"  {printable(p['path'])}: {printable(p['message'])}" for p in problems]
    else:
        text = [f"{red}error[{error.code}]{plain}: {printable(error)}"]
    if error.hint:
        text.append(f"{dim}hint: {printable(error.hint)}{plain}")
    return "\n".join(text)


def show(error: StellatuneError, *, as_json: bool) -> None:
    """Say what failed: on standard error for a person, on standard output for a program."""
    if as_json:
        from stellatune_plugins.cli.output import print_json  # noqa: PLC0415 - only then

        print_json({"error": error.to_dict()})
    else:
        sys.stderr.write(lines(error, colour=_colourful()) + "\n")


def unexpected(error: BaseException, *, log: str | None) -> StellatuneError:
    """A failure that the taxonomy does not know, as one that it does; ``log`` names the file with the traceback."""
    hint = "this is a fault in stellatune; run it again with --debug and report what it prints"
    if log is not None:
        hint += f" (the traceback is in {log})"
    return StellatuneError(f"{type(error).__name__}: {error}", hint=hint)


def error_dict(error: StellatuneError) -> dict[str, Any]:
    """For results in which some of several things failed."""
    return error.to_dict()


def _colourful() -> bool:
    import os  # noqa: PLC0415 - with the only place that needs it

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
