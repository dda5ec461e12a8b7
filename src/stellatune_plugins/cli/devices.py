"""``stellatune devices``."""

from __future__ import annotations

import json
from typing import Any, Final

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.plugin_spec import parse
from stellatune_plugins.model.ids import RuntimeRoute

_TOLD: Final = frozenset({"name", "default", "rates", "channels"})
"""Fields of a target that tell of it, and do not choose it."""


def devices(
    *,
    sink: str | None = None,
    runtime: RuntimeRoute = RuntimeRoute.HYBRID,
    common: Common | None = None,
) -> None:
    """List where music can go: the targets of every output sink.

    Args:
        sink: Only this plugin's: ID[/TYPE_ID][=JSON|=@FILE]. Default: those of all that there are.
        runtime: Where plugins are looked up: native first (the default), native or WebAssembly alone.
        common: Options of every command.
    """
    common = common or Common()
    spec = None if sink is None else parse(sink, "--sink")
    from stellatune_plugins.cli.sinks import targets  # noqa: PLC0415 - loads the engine

    listed = targets(spec, runtime, common)
    if common.json:
        print_json({"sinks": listed})
        return
    from stellatune_plugins.cli.text import printable, table  # noqa: PLC0415

    rows = [[entry["plugin"], entry["type_id"], *cells] for entry in listed for cells in _cells(entry)]
    print_text(table(["PLUGIN", "TYPE", "TARGET", "NAME"], rows) if rows else "no sink has a target")
    for entry in listed:
        if entry["error"] is not None:
            print_text(f"{entry['plugin']}: {printable(entry['error']['message'])}")


def _cells(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Of each target what to pass on, and what a person calls it."""
    cells = []
    for target in entry["targets"]:
        fields = target if isinstance(target, dict) else {}
        name = str(fields.get("name", ""))
        if fields.get("default") is True:
            name += " (default)"
        shown = {key: value for key, value in fields.items() if key not in _TOLD} if fields else target
        cells.append((str(fields["id"]) if "id" in fields else json.dumps(shown, ensure_ascii=False), name.strip()))
    return cells
