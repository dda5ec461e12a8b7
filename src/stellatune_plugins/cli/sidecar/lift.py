"""``stellatune sidecar lift``."""

from __future__ import annotations

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.text import printable
from stellatune_plugins.errors import UsageError
from stellatune_plugins.host.sidecar.memory import FailureMemory
from stellatune_plugins.model.home import Home


def lift(plugin: str, sidecar: str, /, *, common: Common | None = None) -> None:
    """Let a sidecar start again that was quarantined, and forget its failures.

    Find out first why it failed: `plugin logs` has its own words.

    Args:
        plugin: The plugin's id.
        sidecar: The sidecar's id, as `sidecar list` shows it.
        common: Options of every command.
    """
    common = common or Common()
    if not FailureMemory(Home.resolve(common.home).sidecars).lift(plugin, sidecar):
        raise UsageError(
            f"no sidecar {printable(sidecar)} of {printable(plugin)} is in quarantine",
            hint="see `stellatune sidecar list`",
        )
    if common.json:
        print_json({"lifted": {"plugin": plugin, "sidecar": sidecar}})
    else:
        print_text(f"{printable(sidecar)} of {printable(plugin)} may start again")
