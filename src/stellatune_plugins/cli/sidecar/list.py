"""``stellatune sidecar list``."""

from __future__ import annotations

import datetime as dt
import time

import msgspec

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.text import duration, printable, table
from stellatune_plugins.host.sidecar.memory import FailureMemory
from stellatune_plugins.host.sidecar.roster import running
from stellatune_plugins.model.home import Home


def list(*, common: Common | None = None) -> None:  # noqa: A001 - the command's name
    """List the sidecars that run now, under every program of this home, and those in quarantine.

    The tier says what keeps a sidecar in: bubblewrap, landlock, or none where the user granted just that.

    Args:
        common: Options of every command.
    """
    common = common or Common()
    home = Home.resolve(common.home)
    there, kept_out = running(home.run), FailureMemory(home.sidecars).quarantines()
    if common.json:
        data = {"running": there, "quarantined": kept_out}
        print_json(msgspec.to_builtins(data))
        return
    now = time.time()
    rows = [[s.plugin, s.sidecar, s.pid, s.tier, s.scope, duration(max(0.0, now - s.started)), s.host] for s in there]
    print_text(table(["PLUGIN", "SIDECAR", "PID", "TIER", "SCOPE", "RUNS", "HOST"], rows) if rows else "none runs")
    for quarantined in kept_out:
        since = dt.datetime.fromtimestamp(quarantined.since, dt.UTC).astimezone()
        print_text(
            f"{printable(quarantined.plugin)}: {printable(quarantined.sidecar)} is in quarantine since "
            f"{since:%Y-%m-%d %H:%M}: {printable(quarantined.reason)}"
        )
