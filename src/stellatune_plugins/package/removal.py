"""Taking packages out: moved out of the way in one rename, then deleted; what cannot be finished is written down."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import msgspec

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.layout import StoreLayout, WorkKind, WorkName
from stellatune_plugins.package.pending import PackageState, PendingRemoval, PendingUninstall, write_pending
from stellatune_plugins.package.shelf import Shelf
from stellatune_plugins.package.switching import Switcher
from stellatune_plugins.package.workspace import Workspace, abandoned

_log = logging.getLogger(__name__)


class Remover:
    """Removes packages. To be called while the store's lock is held."""

    def __init__(self, layout: StoreLayout, fs: FsOps, shelf: Shelf, switcher: Switcher) -> None:
        self._layout = layout
        self._fs = fs
        self._shelf = shelf
        self._switcher = switcher

    def remove(self, plugin: PluginId, record: PendingUninstall, *, retry: bool = False) -> PendingRemoval | None:
        """Remove a plugin; gives what is left of it, ``None`` for nothing.

        Raises:
            OSError: where it can neither be removed nor marked.
        """
        name = WorkName(WorkKind.REMOVE, plugin, uuid.uuid4().hex)
        try:
            with Workspace(self._layout, self._fs, name) as work:
                self._switcher.remove(work.at, plugin)
                try:
                    work.clear()
                except OSError as error:
                    work.leave()
                    return self.mark(work.at.folder, record.failed(str(error), retry=retry))
        except OSError as error:
            return self.mark(self._layout.package(plugin), record.failed(str(error), retry=retry))
        return None

    def mark(self, folder: Path, record: PendingUninstall) -> PendingRemoval:
        """Write down in a package's folder that it is to be removed."""
        self._fs.ensure_folder(self._layout.staging)
        write_pending(self._fs, folder, record, self._layout.staging / f"mark-{uuid.uuid4().hex}")
        return PendingRemoval(folder, record)

    def purge(self, *, again: bool = False) -> list[PluginId]:
        """Try pending removals once more, with ``again`` those too that failed for good; gives what is now gone."""
        gone = []
        for removal in self._shelf.pending():
            record = removal.record
            if record.state is PackageState.DELETE_FAILED:
                if not again:
                    continue
                record = msgspec.structs.replace(record, state=PackageState.PENDING_UNINSTALL, retry_count=0)
            try:
                left = self._retry(removal.folder, record)
            except (StellatuneError, OSError) as error:
                _log.warning("the removal of %s cannot be finished: %s", record.plugin_id, error)
                continue
            if left is None:
                gone.append(record.plugin_id)
        return gone

    def _retry(self, folder: Path, record: PendingUninstall) -> PendingRemoval | None:
        if folder.parent != self._layout.staging:
            return self.remove(record.plugin_id, record, retry=True)
        with abandoned(folder) as free:
            if not free:  # another process is deleting it this moment
                return PendingRemoval(folder, record)
            try:
                self._fs.remove_tree(folder)
            except OSError as error:
                return self.mark(folder, record.failed(str(error), retry=True))
        return None
