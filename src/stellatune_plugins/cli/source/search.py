"""``stellatune source search``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.plugin_spec import parse
from stellatune_plugins.model.ids import RuntimeRoute


def search(
    source: Annotated[str, Parameter(name="SOURCE")],
    text: Annotated[str, Parameter(name="TEXT")],
    /,
    *,
    offset: int = 0,
    limit: int = 100,
    runtime: RuntimeRoute = RuntimeRoute.HYBRID,
    common: Common | None = None,
) -> None:
    """Search a source.

    Args:
        source: The plugin: ID[/TYPE_ID][=JSON|=@FILE], such as 'dev.stellatune.opensubsonic=@server.json'.
        text: What to search for.
        offset: How many to pass over.
        limit: How many to list.
        runtime: Where the plugin is looked up: native first (the default), native or WebAssembly alone.
        common: Options of every command.
    """
    from stellatune_plugins.cli.source.listing import Question, show  # noqa: PLC0415 - loads the engine

    question = Question(parse(source, "SOURCE"), query=text, offset=offset, limit=limit, route=runtime)
    show(question, common or Common())
