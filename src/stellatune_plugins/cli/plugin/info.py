"""``stellatune plugin info``."""

from __future__ import annotations

from stellatune_plugins.cli.describe import details, info_text
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.workbench import Workbench


def info(plugin: str, /, *, common: Common | None = None) -> None:
    """Show one plugin: versions, abilities, configuration schema and defaults, permissions, digest.

    Args:
        plugin: The plugin's id.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:
        found = bench.store.info(plugin)
        granted = bench.grants.granted(found.installed.manifest)
    data = details(found.installed, found.previous, granted)
    if common.json:
        print_json(data)
    else:
        print_text(info_text(data))
