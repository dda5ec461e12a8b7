"""``stellatune plugin rollback``."""

from __future__ import annotations

from stellatune_plugins.cli.describe import summary
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.text import printable
from stellatune_plugins.cli.workbench import Workbench


def rollback(plugin: str, /, *, common: Common | None = None) -> None:
    """Go back to the version before the last upgrade; a second rollback undoes the first.

    Args:
        plugin: The plugin's id.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:
        before = bench.store.get(plugin).version
        installed = bench.store.rollback(plugin)
    if common.json:
        print_json(summary(installed) | {"from_version": before})
    else:
        print_text(f"{installed.id} is back at {printable(installed.version)} (was {printable(before)})")
