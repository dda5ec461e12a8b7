"""``stellatune plugin info``."""

from __future__ import annotations

from typing import Any

from stellatune_plugins.cli.describe import details, info_text, native_details, native_text
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import PluginNotInstalled


def info(plugin: str, /, *, common: Common | None = None) -> None:
    """Show one plugin: versions, abilities, configuration schema and defaults, permissions, digest.

    Args:
        plugin: The plugin's id.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:
        try:
            found = bench.store.info(plugin)
        except PluginNotInstalled:
            data = _native(bench, plugin)
            if data is None:
                raise
            text = native_text(data)
        else:
            data = details(found.installed, found.previous, bench.grants.granted(found.installed.manifest))
            text = info_text(data)
    if common.json:
        print_json(data)
    else:
        print_text(text)


def _native(bench: Workbench, plugin: str) -> dict[str, Any] | None:
    from stellatune_plugins.native import NativeRuntime  # noqa: PLC0415 - only where no package is

    entries = [entry for entry in NativeRuntime(bus=bench.bus).records() if entry.plugin_id == plugin]
    return native_details(entries) if entries else None
