"""``stellatune lyrics``: what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.plugin_spec import parse
from stellatune_plugins.errors import UsageError
from stellatune_plugins.model.ids import RuntimeRoute


def lyrics(
    file: Annotated[Path | None, Parameter(name="FILE")] = None,
    /,
    *,
    provider: str | None = None,
    search: str | None = None,
    pick: int = 1,
    runtime: RuntimeRoute = RuntimeRoute.HYBRID,
    common: Common | None = None,
) -> None:
    """Print the lyrics of a track, as LRC where there are times.

    With FILE alone, those that lie beside the file or in its tags. With --provider, the plugin searches for --search,
    or for the artist and title in the file's tags.

    Args:
        file: An audio file.
        provider: The plugin to ask: ID[/TYPE_ID][=JSON|=@FILE], such as dev.stellatune.lrclib.
        search: What to search for, such as 'artist title'.
        pick: Which of the candidates to take, the best being 1.
        runtime: Where plugins are looked up: native first (the default), native or WebAssembly alone.
        common: Options of every command.
    """
    if file is None and search is None:
        raise UsageError("name a file, or what to --search for", hint="see `stellatune lyrics --help`")
    if search is not None and provider is None:
        raise UsageError("--search needs a --provider to search with", hint="such as dev.stellatune.lrclib")
    if pick < 1:
        raise UsageError(f"--pick {pick}: the first candidate is 1")
    from stellatune_plugins.cli.lyrics_finding import Wanted, show  # noqa: PLC0415 - loads decoders and the engine

    spec = None if provider is None else parse(provider, "--provider")
    show(Wanted(file=file, provider=spec, search=search, pick=pick, route=runtime), common or Common())
