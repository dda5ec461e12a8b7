"""``stellatune plugin uninstall``."""

from __future__ import annotations

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.several import Outcome, each
from stellatune_plugins.cli.workbench import Workbench


def uninstall(first: str, /, *more: str, common: Common | None = None) -> int:
    """Remove plugins and their kept earlier versions. Their data folders stay.

    Args:
        first: A plugin's id.
        more: More ids.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:

        def one(plugin: str) -> Outcome:
            left = bench.store.uninstall(plugin)
            if left is None:
                return {"id": plugin, "state": "removed"}, f"removed {plugin}"
            data = {"id": plugin, "state": str(left.record.state), "last_error": left.record.last_error}
            return data, f"{plugin} could not be deleted yet ({left.record.last_error}); the next start tries again"

        return each((first, *more), one, key="uninstalled", as_json=common.json)
