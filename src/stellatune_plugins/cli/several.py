"""Doing one thing with several plugins: a failure of one does not keep the others from theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stellatune_plugins.cli import failures
from stellatune_plugins.cli.entry import EXIT_FAILED, EXIT_OK
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.errors import StellatuneError

Outcome = tuple[dict[str, Any], str]
"""What was done, as data and as a line for a person."""


def each(items: Iterable[str], action: Callable[[str], Outcome], *, key: str, as_json: bool) -> int:
    """Run ``action`` for every item and say how it went; gives the exit code.

    As JSON: ``{key: [...], "failed": [{"item", "error"}]}``, and ``error`` with the first failure where there is one.

    Raises:
        StellatuneError: the only item's failure, to be shown as any other.
    """
    items = list(dict.fromkeys(items))
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for item in items:
        try:
            data, line = action(item)
        except StellatuneError as error:
            if len(items) == 1:
                raise
            failed.append({"item": item, "error": error.to_dict()})
            if not as_json:
                failures.show(error.at(plugin=item), as_json=False)
        else:
            done.append(data)
            if not as_json:
                print_text(line)
    if as_json:
        print_json({key: done, "failed": failed, **({"error": failed[0]["error"]} if failed else {})})
    return EXIT_FAILED if failed else EXIT_OK
