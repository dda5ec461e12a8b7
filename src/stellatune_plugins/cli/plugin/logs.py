"""``stellatune plugin logs``."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

from cyclopts import Parameter

from stellatune_plugins.cli.log_lines import readable
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_text
from stellatune_plugins.errors import PluginNotInstalled
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe.log_reader import LogReader
from stellatune_plugins.package.manifest_reader import is_plugin_id


def logs(
    plugin: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 50,
    common: Common | None = None,
) -> None:
    """Show what a plugin, its guests and its sidecars said: the end of its log.

    With --json every line is one JSON object, as it stands in the file.

    Args:
        plugin: The plugin's id.
        follow: Go on with what comes, until Ctrl-C.
        lines: How many of the lines that are there to show; 0 for none.
        common: Options of every command.
    """
    common = common or Common()
    home = Home.resolve(common.home)
    path = home.logs / f"{plugin}.jsonl"
    known = is_plugin_id(plugin)
    if not known or not (path.exists() or (home.plugins / plugin).is_dir()):
        raise PluginNotInstalled(
            "there is no log: nothing of this name is installed, or ever was",
            plugin=plugin if known else None,
            hint="see `stellatune plugin list`",
        )
    with LogReader(path) as reader:
        for line in reader.tail(max(0, lines)):
            _show(line, raw=common.json)
        sys.stdout.flush()
        if follow:
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it: no failure
                for line in reader.follow():
                    _show(line, raw=common.json)
                    sys.stdout.flush()


def _show(line: bytes, *, raw: bool) -> None:
    # JSON escapes what steers a terminal, as the log wrote it.
    text = line.decode("utf-8", "replace") if raw else readable(line)
    print_text(text)
