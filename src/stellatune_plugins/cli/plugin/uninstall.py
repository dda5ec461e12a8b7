"""``stellatune plugin uninstall``."""

from __future__ import annotations

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.several import Outcome, each
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.package.data_folder import remove_data


def uninstall(first: str, /, *more: str, keep_data: bool = False, common: Common | None = None) -> int:
    """Remove plugins with their kept earlier versions, what was granted to them, and their data.

    Args:
        first: A plugin's id.
        more: More ids.
        keep_data: Leave the plugins' data folders, for a later installation.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:

        def one(plugin: str) -> Outcome:
            left = bench.store.uninstall(plugin)
            had_data = not keep_data and remove_data(bench.home, plugin)
            data = {"id": plugin, "state": "removed", "data_removed": had_data}
            if left is None:
                return data, f"removed {plugin}" + (" and its data" if had_data else "")
            data |= {"state": str(left.record.state), "last_error": left.record.last_error}
            return data, f"{plugin} could not be deleted yet ({left.record.last_error}); the next start tries again"

        return each((first, *more), one, key="uninstalled", as_json=common.json)
