"""``stellatune plugin list``."""

from __future__ import annotations

from typing import Any

from stellatune_plugins.cli.describe import summary
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.text import printable, table
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.native import NativePlugin, NativeRuntime


def list(*, common: Common | None = None) -> None:  # noqa: A001 - the command's name
    """List what is there: installed packages, native plugins, and packages that are damaged or on their way out.

    Args:
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:
        scan = bench.store.scan()
        native = NativeRuntime(bus=bench.bus).records()
    data: dict[str, Any] = {
        "installed": [summary(plugin) for plugin in scan.installed],
        "native": [_native(plugin) for plugin in native],
        "pending": [
            {"id": p.record.plugin_id, "state": str(p.record.state), "last_error": p.record.last_error}
            for p in scan.pending
        ],
        "damaged": [{"id": d.plugin, "problem": d.problem} for d in scan.damaged],
    }
    if common.json:
        print_json(data)
        return
    rows = [
        [
            p["id"],
            p["version"],
            p["runtime"],
            ", ".join(f"{a['kind']}/{a['type_id']}" for a in p["abilities"]),
            p["name"],
        ]
        for p in data["installed"] + data["native"]
    ]
    print_text(table(["ID", "VERSION", "RUNTIME", "ABILITIES", "NAME"], rows))
    for pending in data["pending"]:
        print_text(
            f"{pending['id']}: {pending['state']}: {printable(pending['last_error'] or 'its removal was put off')}"
        )
    for damaged in data["damaged"]:
        print_text(f"{printable(damaged['id'])}: damaged: {printable(damaged['problem'])}")
    if not scan.installed:
        print_text("\nno package is installed; `stellatune plugin install --bundled` installs those that come along")


def _native(plugin: NativePlugin) -> dict[str, Any]:
    return {
        "id": plugin.plugin_id,
        "name": plugin.distribution or plugin.entry,
        "version": plugin.version or "",
        "runtime": "native",
        "state": str(plugin.status),
        "abilities": [{"kind": str(plugin.kind), "type_id": plugin.type_id}],
        "detail": plugin.detail,
    }
