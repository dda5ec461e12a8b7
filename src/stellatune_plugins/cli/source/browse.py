"""``stellatune source browse``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.plugin_spec import parse
from stellatune_plugins.model.ids import RuntimeRoute


def browse(
    source: Annotated[str, Parameter(name="SOURCE")],
    item: Annotated[str | None, Parameter(name="ITEM")] = None,
    /,
    *,
    offset: int = 0,
    limit: int = 100,
    runtime: RuntimeRoute = RuntimeRoute.HYBRID,
    common: Common | None = None,
) -> None:
    """List what a source has: folders, artists, albums, playlists, tracks.

    Args:
        source: The plugin: ID[/TYPE_ID][=JSON|=@FILE], such as 'dev.stellatune.opensubsonic=@server.json'.
        item: The id of what to look into, as an earlier list shows it. Default: the top.
        offset: How many to pass over.
        limit: How many to list.
        runtime: Where the plugin is looked up: native first (the default), native or WebAssembly alone.
        common: Options of every command.
    """
    from stellatune_plugins.cli.source.listing import Question, show  # noqa: PLC0415 - loads the engine

    question = Question(parse(source, "SOURCE"), item=item, offset=offset, limit=limit, route=runtime)
    show(question, common or Common())
