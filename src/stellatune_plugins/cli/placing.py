"""Putting packages into the store, with what a person sees of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from stellatune_plugins.cli.consent import Consent
from stellatune_plugins.cli.describe import summary
from stellatune_plugins.cli.grant_text import LOCAL_NETWORK, asked, words
from stellatune_plugins.cli.text import duration, printable, size
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import PluginAlreadyInstalled
from stellatune_plugins.model import PluginId
from stellatune_plugins.package import Grant, InstalledPlugin, Manifest, Widening, open_source
from stellatune_plugins.package.installed import read_installed
from stellatune_plugins.package.staging import read_manifest


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """One package that went in, or was there already."""

    plugin: InstalledPlugin
    action: str
    """``installed``, ``upgraded`` or ``unchanged``."""
    from_version: str | None = None
    seconds: float
    granted: tuple[Grant, ...] = ()
    """By this command."""
    missing: tuple[Grant, ...] = ()
    """Asked for and not granted."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return summary(self.plugin) | {
            "action": self.action,
            "from_version": self.from_version,
            "asks_for": asked(self.plugin.manifest),
            "granted": list(map(str, self.granted)),
            "not_granted": list(map(str, self.missing)),
            "seconds": round(self.seconds, 4),
        }

    def line(self) -> str:
        """As a person reads it."""
        name = f"{self.plugin.id} {printable(self.plugin.version)}"
        if self.action == "unchanged":
            return f"{name} is installed already"
        before = f" from {printable(self.from_version)}" if self.from_version else ""
        text = f"{self.action} {name}{before} ({size(self.plugin.receipt.total_bytes)}, {duration(self.seconds)})"
        if self.granted:
            text += "\n  was granted: " + ", ".join(map(printable, self.granted))
        if self.missing:
            text += "\n  asks to, and may not: " + "; ".join(printable(words(grant)) for grant in self.missing)
            text += f"\n  `stellatune plugin permissions {self.plugin.id} --grant all` grants it"
        elif self.plugin.manifest.permissions.local_network and not self.granted:
            text += f"\n  asks to {LOCAL_NETWORK}: see `stellatune plugin permissions {self.plugin.id}`"
        return text


def plugin_id_of(package: Path) -> PluginId:
    """Which plugin a package holds.

    Raises:
        SourceUnreadable, ArchiveRefused, ManifestInvalid: where it is not acceptable.
    """
    with open_source(package) as source:
        return read_manifest(source)[0].id


class Placer:
    """Installs and upgrades with every check that there is.

    Args:
        bench: the command's tools.
        consent: how the user answers what packages ask for.
    """

    def __init__(self, bench: Workbench, consent: Consent) -> None:
        self._bench = bench
        self._consent = consent
        self._wider: Widening | None = None

    def install(self, package: Path) -> Placed:
        """Install what is not installed yet, and grant what the user grants."""
        return self._timed("installed", None, lambda: self._bench.store.install(package, validator=self._check))

    def upgrade(self, package: Path, *, allow_downgrade: bool = False) -> Placed:
        """Replace what is installed; grants come along, and new wishes must be accepted."""
        before = self._bench.store.get(plugin_id_of(package)).version
        return self._timed(
            "upgraded",
            before,
            lambda: self._bench.store.upgrade(
                package, allow_downgrade=allow_downgrade, validator=self._check, accept=self._accept
            ),
        )

    def ensure(self, package: Path) -> Placed:
        """Install, bring up to date, or find that nothing is to be done but to grant."""
        plugin = plugin_id_of(package)
        if all(installed.id != plugin for installed in self._bench.store.list()):
            return self.install(package)
        try:
            return self.upgrade(package)
        except PluginAlreadyInstalled:
            return self._placed("unchanged", None, self._bench.store.get(plugin), 0.0)

    def _accept(self, wider: Widening) -> bool:
        self._wider = wider
        return self._consent.accepts(wider)

    def _check(self, manifest: Manifest, tree: Path) -> None:
        """Compile every component and compare its imports and exports with its world's, before anything counts."""
        self._consent.check(manifest)
        from stellatune_plugins.executor import activation_of  # noqa: PLC0415 - loads the engine
        from stellatune_plugins.executor.component import load  # noqa: PLC0415

        package = read_installed(tree)
        for component in activation_of(package).components:
            load(package, component, self._bench.runtime.code)
        self._bench.compile_note.clear()

    def _timed(self, action: str, before: str | None, work: Callable[[], InstalledPlugin]) -> Placed:
        self._wider = None
        started = time.perf_counter()
        plugin = work()
        return self._placed(action, before, plugin, time.perf_counter() - started)

    def _placed(self, action: str, before: str | None, plugin: InstalledPlugin, seconds: float) -> Placed:
        # What an upgrade asked for before, and was refused, is no news.
        news = None if action == "installed" else self._wider.grants if self._wider else ()
        granted = self._consent.settle(plugin, news)
        return Placed(
            plugin=plugin,
            action=action,
            from_version=before,
            seconds=seconds,
            granted=granted,
            missing=self._bench.grants.missing(plugin.manifest),
        )
