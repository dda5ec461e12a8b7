"""The moment of change: a version takes another's place. Each switch is one rename where the system can swap names."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.installed import read_installed
from stellatune_plugins.package.layout import StoreLayout, WorkKind, WorkLayout, WorkName

_log = logging.getLogger(__name__)


class Switcher:
    """Moves whole versions between their places. To be called while the store's lock is held."""

    def __init__(self, layout: StoreLayout, fs: FsOps) -> None:
        self._layout = layout
        self._fs = fs

    def install(self, work: WorkLayout, plugin: PluginId) -> None:
        """The staged tree becomes the plugin; a kept version without a plugin goes."""
        if self._layout.previous(plugin).exists():
            self._fs.move(self._layout.previous(plugin), work.orphan)
        self._fs.move(work.tree, self._layout.package(plugin))

    def upgrade(self, work: WorkLayout, plugin: PluginId) -> None:
        """The staged tree becomes the plugin, which becomes the kept version, which goes."""
        self._fs.ensure_folder(self._layout.all_previous)
        self._fs.exchange(work.tree, self._layout.package(plugin), work.aside_current)
        try:
            self.keep(work, plugin)
        except OSError:
            self._fs.exchange(work.tree, self._layout.package(plugin), work.aside_current)
            raise

    def keep(self, work: WorkLayout, plugin: PluginId) -> None:
        """The version that went out becomes the kept one."""
        previous = self._layout.previous(plugin)
        if previous.exists():
            self._fs.exchange(work.tree, previous, work.aside_previous)
        else:
            self._fs.ensure_folder(self._layout.all_previous)
            self._fs.move(work.tree, previous)

    def rollback(self, work: WorkLayout, plugin: PluginId) -> None:
        """The kept version and the plugin change places."""
        self._fs.exchange(self._layout.previous(plugin), self._layout.package(plugin), work.aside_current)

    def remove(self, work: WorkLayout, plugin: PluginId) -> None:
        """The plugin and its kept version go out of the way, to be deleted; the plugin first, since it decides."""
        if os.path.lexists(self._layout.package(plugin)):
            self._fs.move(self._layout.package(plugin), work.tree)
        if self._layout.previous(plugin).exists():
            try:
                self._fs.move(self._layout.previous(plugin), work.orphan)
            except OSError as error:  # an install of the same plugin takes it away
                _log.warning("the kept version of %s stays behind: %s", plugin, error)

    # --- after a stop -----------------------------------------------------------------------------------------------

    def settle(self, name: WorkName, work: WorkLayout) -> str:
        """Bring what an operation left half done to its old or its new state; says in words which.

        What is in the work folder afterwards belongs to nobody.
        """
        package, previous = self._layout.package(name.plugin), self._layout.previous(name.plugin)
        partner = previous if name.kind is WorkKind.ROLLBACK else work.tree
        self._settle_swap(work.aside_current, package, partner)
        self._settle_swap(work.aside_previous, previous, work.tree)
        if name.kind is WorkKind.REMOVE:
            return self._settle_removal(name, work)
        switched = _install_id(package) == name.incoming
        if name.kind is WorkKind.UPGRADE and switched and _install_id(work.tree) == name.outgoing:
            self.keep(work, name.plugin)
        verb = "finished" if switched else "discarded"
        return f"{verb} an interrupted {name.kind} of {name.plugin}"

    def _settle_swap(self, aside: Path, place: Path, incoming: Path) -> None:
        """See :meth:`FsOps.exchange` for the two states that a stop may leave."""
        if aside.exists():
            self._fs.move(aside, incoming if place.exists() else place)

    def _settle_removal(self, name: WorkName, work: WorkLayout) -> str:
        if not self._layout.package(name.plugin).exists():
            self.remove(work, name.plugin)
            return f"finished an interrupted removal of {name.plugin}"
        return f"discarded an interrupted removal of {name.plugin}"


def _install_id(root: Path) -> str | None:
    with contextlib.suppress(OSError, StellatuneError):
        return read_installed(root).receipt.install_id
    return None
