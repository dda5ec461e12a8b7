"""Granting at first use: a command failed because a plugin was denied something, and somebody sits at the terminal."""

from __future__ import annotations

import contextlib
import sys

from stellatune_plugins.cli.consent import is_granted, somebody_is_there
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import UsageError
from stellatune_plugins.package.grants import is_asked, parse_grant


def offer(plugin: str | None, text: object, common: Common) -> None:
    """Ask whether to grant what was denied, where the plugin asks for it in its manifest.

    Args:
        plugin: who was denied it.
        text: the grant that would allow it, as the error's details have it.
        common: the command's home.

    Raises:
        StellatuneError: it was to be granted, and could not be.
    """
    if not isinstance(text, str) or plugin is None or not somebody_is_there():
        return
    with Workbench(common) as bench, contextlib.suppress(UsageError):  # what is no grant cannot be offered
        grant = parse_grant(text)
        manifest = bench.store.get(plugin).manifest
        if is_asked(manifest, grant) and is_granted(plugin, grant):
            bench.grants.grant(manifest, [grant])
            sys.stderr.write("granted; run the command again\n")
