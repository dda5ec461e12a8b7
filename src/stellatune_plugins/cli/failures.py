"""Failures as the user sees them: ``error[CODE]: what, where`` and ``hint: what to do``, or the same as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from stellatune_plugins.cli.text import printable
from stellatune_plugins.errors import StellatuneError

_RED, _DIM, _PLAIN = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


def lines(error: StellatuneError | Mapping[str, Any], *, colour: bool = False) -> str:
    """The text of an error, or of one as :meth:`StellatuneError.to_dict` gives it; several problems, a line each."""
    red, dim, plain = (_RED, _DIM, _PLAIN) if colour else ("", "", "")
    data = error.to_dict() if isinstance(error, StellatuneError) else error
    where = StellatuneError("", **{name: data.get(name) for name in ("plugin", "component", "operation")}).where
    head = f"{red}error[{data['code']}]{plain}: "
    problems = (data.get("details") or {}).get("problems") or ()
    if len(problems) > 1:
        text = [head + printable(data["message"].partition(":")[0]) + f": {len(problems)} problems"]
    else:
        text = [head + printable(data["message"])]
    if where:
        text[0] += f", {printable(where)}"
    if len(problems) > 1:
        text += [f"  {_problem(problem)}" for problem in problems]
    if data["hint"]:
        text.append(f"{dim}hint: {printable(data['hint'])}{plain}")
    return "\n".join(text)


def show(error: StellatuneError | Mapping[str, Any], *, as_json: bool) -> None:
    """Say what failed: on standard error for a person, on standard output for a program."""
    if as_json:
        from stellatune_plugins.cli.output import print_json  # noqa: PLC0415 - only then

        print_json({"error": error.to_dict() if isinstance(error, StellatuneError) else error})
    else:
        encoding = sys.stderr.encoding or "utf-8"
        text = lines(error, colour=_colourful())
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _problem(problem: object) -> str:
    """One of several problems: a manifest's has a path, others are texts."""
    if isinstance(problem, Mapping):
        return f"{printable(problem.get('path', ''))}: {printable(problem.get('message', ''))}"
    return printable(problem)


def unexpected(error: BaseException, *, log: str | None) -> StellatuneError:
    """A failure that the taxonomy does not know, as one that it does; ``log`` names the file with the traceback."""
    hint = "this is a fault in stellatune; run it again with --debug and report what it prints"
    if log is not None:
        hint += f" (the traceback is in {log})"
    return StellatuneError(f"{type(error).__name__}: {error}", hint=hint)


def _colourful() -> bool:
    import os  # noqa: PLC0415 - with the only place that needs it

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
