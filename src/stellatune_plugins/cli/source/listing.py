"""Asking a source for a list, and showing it."""

from __future__ import annotations

from typing import Any

import msgspec

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.plugin_spec import PluginSpec
from stellatune_plugins.cli.text import printable, table
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import UsageError
from stellatune_plugins.model import RuntimeRoute
from stellatune_plugins.session.catalogue import Item, Page, browse, search

MAX_LIMIT = 10_000


class Question(msgspec.Struct, frozen=True):
    """What is asked of which source: a search where there is a query, else a look into an item."""

    source: PluginSpec
    item: str | None = None
    query: str | None = None
    offset: int = 0
    limit: int = 100
    route: RuntimeRoute = RuntimeRoute.HYBRID


def show(question: Question, common: Common) -> None:
    """Ask, and print the page.

    Raises:
        UsageError: the limits are none.
        StellatuneError: the source cannot be opened, or failed.
    """
    if question.offset < 0 or not 1 <= question.limit <= MAX_LIMIT:
        raise UsageError(f"from {question.offset} on {question.limit} items: 1 to {MAX_LIMIT} can be listed")
    with Workbench(common, route=question.route) as bench:
        source = question.source
        opened = bench.runtime.open_source(source.plugin, type_id=source.type_id, config_json=source.config_json)
        bench.compile_note.clear()
        try:
            if question.query is None:
                page = browse(opened.instance, question.item, offset=question.offset, limit=question.limit)
            else:
                page = search(opened.instance, question.query, offset=question.offset, limit=question.limit)
        finally:
            opened.instance.close()
    if common.json:
        print_json({"plugin": opened.resolved.key.plugin_id, **_plain(page)})
    else:
        print_text(_text(page))


def _plain(page: Page) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(page)
    return data


def _text(page: Page) -> str:
    if not page.items:
        return "nothing found"
    rows = [
        [str(item.kind), item.title, item.artist or "", item.album or "", _length(item), _name(item)]
        for item in page.items
    ]
    lines = [table(["KIND", "TITLE", "ARTIST", "ALBUM", "LENGTH", "ID OR URI"], rows, right=frozenset({4}))]
    if page.next_offset is not None:
        total = "" if page.total is None else f" of {page.total}"
        lines.append(f"{len(page.items)}{total} items; --offset {page.next_offset} lists the next")
    if page.left_out:
        lines.append(f"{page.left_out} items were left out, for they are not what the convention has")
    return "\n".join(lines)


def _name(item: Item) -> str:
    """What to pass on: a track's URI to `render`, anything else's id to `source browse`."""
    return printable(item.uri if item.uri is not None and item.kind == "track" else item.id)


def _length(item: Item) -> str:
    if item.duration_ms is None:
        return ""
    minutes, seconds = divmod(round(item.duration_ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
