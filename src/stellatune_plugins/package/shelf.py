"""The reading side of the store. It takes no lock: what it finds is always one whole version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stellatune_plugins.errors import PluginNotInstalled, StellatuneError
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.installed import InstalledPlugin, read_installed
from stellatune_plugins.package.layout import StoreLayout, WorkKind, WorkName
from stellatune_plugins.package.manifest_reader import is_plugin_id
from stellatune_plugins.package.pending import PendingRemoval, read_pending


class DamagedPackage(msgspec.Struct, frozen=True):
    """A folder among the packages that is none that can be used."""

    plugin: str
    """The folder's name."""
    root: Path
    problem: str


class StoreScan(msgspec.Struct, frozen=True):
    """Everything in the store, each part sorted by id."""

    installed: tuple[InstalledPlugin, ...]
    pending: tuple[PendingRemoval, ...]
    damaged: tuple[DamagedPackage, ...]


class Shelf:
    """Finds packages."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout

    def scan(self) -> StoreScan:
        """Look at every folder; one bad one hides no other."""
        pending = self.pending()
        leaving = {removal.folder for removal in pending}
        installed, damaged = [], []
        for name in names_in(self._layout.root):
            root = self._layout.root / name
            if name.startswith(".") or root in leaving or not os.path.lexists(root):
                continue
            try:
                installed.append(self._read(root))
            except FileNotFoundError:  # removed a moment ago
                continue
            except (StellatuneError, OSError) as error:
                damaged.append(DamagedPackage(name, root, str(error)))
        return StoreScan(tuple(installed), tuple(pending), tuple(damaged))

    def get(self, plugin: PluginId) -> InstalledPlugin:
        """One plugin; raises :class:`PluginNotInstalled`, or :class:`StoreFailed` where it is damaged."""
        root = self._layout.package(plugin)
        if read_pending(root, plugin) is not None:
            raise PluginNotInstalled("the plugin is being removed")
        try:
            return self._read(root)
        except FileNotFoundError as error:
            raise PluginNotInstalled("the plugin is not installed") from error

    def previous(self, plugin: PluginId) -> InstalledPlugin | None:
        """The version kept for rollback, where there is one; raises :class:`StoreFailed` where it is damaged."""
        try:
            return self._read(self._layout.previous(plugin))
        except FileNotFoundError:
            return None

    def version_of(self, plugin: PluginId) -> str:
        """The version in the plugin's folder, ``unknown`` where it cannot be read."""
        try:
            return self._read(self._layout.package(plugin)).version
        except (StellatuneError, OSError):
            return "unknown"

    def is_there(self, plugin: PluginId) -> bool:
        """Whether the plugin's place is taken, by whatever."""
        return os.path.lexists(self._layout.package(plugin))

    def pending(self) -> list[PendingRemoval]:
        """Removals that are not finished, marked in place or already moved out of the way."""
        found = [*self._marked(), *self._moved()]
        return sorted(found, key=lambda removal: removal.record.plugin_id)

    def _marked(self) -> Iterator[PendingRemoval]:
        for name in filter(is_plugin_id, names_in(self._layout.root)):
            record = read_pending(self._layout.root / name, PluginId(name))
            if record is not None:
                yield PendingRemoval(self._layout.root / name, record)

    def _moved(self) -> Iterator[PendingRemoval]:
        for text in names_in(self._layout.staging):
            name = WorkName.parse(text)
            if name is None or name.kind is not WorkKind.REMOVE:
                continue
            record = read_pending(self._layout.staging / text, name.plugin)
            if record is not None:
                yield PendingRemoval(self._layout.staging / text, record)

    @staticmethod
    def _read(root: Path) -> InstalledPlugin:
        plugin = read_installed(root)
        if plugin.id != root.name:
            raise PluginNotInstalled(f"the folder holds another plugin, {plugin.id}")
        return plugin


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted, not paths
    except FileNotFoundError:
        return []
