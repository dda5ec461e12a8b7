"""Putting packages into the store, with what a person sees of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from stellatune_plugins.cli.describe import asked, summary
from stellatune_plugins.cli.text import duration, printable, size
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import PluginAlreadyInstalled
from stellatune_plugins.model import PluginId
from stellatune_plugins.package import InstalledPlugin, Manifest, open_source
from stellatune_plugins.package.installed import read_installed
from stellatune_plugins.package.staging import read_manifest


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """One package that went in, or was there already."""

    plugin: InstalledPlugin
    action: str
    """``installed``, ``upgraded`` or ``unchanged``."""
    from_version: str | None = None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        asks = asked(self.plugin.manifest.permissions)
        return summary(self.plugin) | {
            "action": self.action,
            "from_version": self.from_version,
            "asks_for": asks,
            "seconds": round(self.seconds, 4),
        }

    def line(self) -> str:
        """As a person reads it."""
        name = f"{self.plugin.id} {printable(self.plugin.version)}"
        if self.action == "unchanged":
            return f"{name} is installed already"
        before = f" from {printable(self.from_version)}" if self.from_version else ""
        text = f"{self.action} {name}{before} ({size(self.plugin.receipt.total_bytes)}, {duration(self.seconds)})"
        asks = asked(self.plugin.manifest.permissions)
        if asks:
            text += "\n  asks for, and was not granted: " + "; ".join(map(printable, asks))
        return text


def plugin_id_of(package: Path) -> PluginId:
    """Which plugin a package holds.

    Raises:
        SourceUnreadable, ArchiveRefused, ManifestInvalid: where it is not acceptable.
    """
    with open_source(package) as source:
        return read_manifest(source)[0].id


class Placer:
    """Installs and upgrades with every check that there is."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def install(self, package: Path) -> Placed:
        """Install what is not installed yet."""
        return self._timed("installed", None, lambda: self._bench.store.install(package, validator=self._check))

    def upgrade(self, package: Path, *, allow_downgrade: bool = False) -> Placed:
        """Replace what is installed."""
        before = self._bench.store.get(plugin_id_of(package)).version
        return self._timed(
            "upgraded",
            before,
            lambda: self._bench.store.upgrade(package, allow_downgrade=allow_downgrade, validator=self._check),
        )

    def ensure(self, package: Path) -> Placed:
        """Install, bring up to date, or find that nothing is to be done."""
        plugin = plugin_id_of(package)
        if all(installed.id != plugin for installed in self._bench.store.list()):
            return self.install(package)
        try:
            return self.upgrade(package)
        except PluginAlreadyInstalled:
            return Placed(plugin=self._bench.store.get(plugin), action="unchanged", seconds=0.0)

    def _check(self, _: Manifest, tree: Path) -> None:
        """Compile every component and compare its imports and exports with its world's, before anything counts."""
        from stellatune_plugins.executor import activation_of  # noqa: PLC0415 - loads the engine
        from stellatune_plugins.executor.component import load  # noqa: PLC0415

        package = read_installed(tree)
        for component in activation_of(package).components:
            load(package, component, self._bench.runtime.code)
        self._bench.compile_note.clear()

    def _timed(self, action: str, before: str | None, work: Callable[[], InstalledPlugin]) -> Placed:
        started = time.perf_counter()
        plugin = work()
        return Placed(plugin=plugin, action=action, from_version=before, seconds=time.perf_counter() - started)
