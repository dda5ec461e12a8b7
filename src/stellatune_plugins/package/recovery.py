"""After a stop: whatever an operation that died left below ``.staging`` is brought to its old or its new state."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.layout import StoreLayout, WorkLayout, WorkName
from stellatune_plugins.package.pending import read_pending
from stellatune_plugins.package.shelf import names_in
from stellatune_plugins.package.switching import Switcher
from stellatune_plugins.package.workspace import abandoned

_log = logging.getLogger(__name__)


def settle_all(layout: StoreLayout, fs: FsOps, switcher: Switcher) -> Iterator[tuple[PluginId | None, str]]:
    """Settle every leftover; gives the plugin and what was done. To be called while the store's lock is held.

    One that cannot be settled is logged and stays for the next time.
    """
    for text in names_in(layout.staging):
        path = layout.staging / text
        try:
            if path.is_symlink() or not path.is_dir():
                fs.remove_file(path)  # a mark that was never put in its place
                continue
            name = WorkName.parse(text)
            detail = _settle(path, name, fs, switcher)
        except (StellatuneError, OSError) as error:
            _log.warning("leftovers in %s stay until the next start: %s", path, error)
            continue
        if detail is not None:
            yield (name.plugin if name else None), detail


def _settle(path: Path, name: WorkName | None, fs: FsOps, switcher: Switcher) -> str | None:
    with abandoned(path) as free:
        if not free:
            return None
        if name is None:
            fs.remove_tree(path)
            return "discarded leftovers of an unknown operation"
        if read_pending(path, name.plugin) is not None:
            return None  # a removal that failed before: purging goes on with it and counts its retries
        detail = switcher.settle(name, WorkLayout(path))
        fs.remove_tree(path)
        return detail
