"""The install store: packages go in and out whole, or not at all."""

from __future__ import annotations

import builtins
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from stellatune_plugins.errors import (
    PluginAlreadyInstalled,
    PluginNotInstalled,
    StateFailed,
    StellatuneError,
    StoreBusy,
    StoreFailed,
)
from stellatune_plugins.model import PluginId
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import (
    PackageInstalled,
    PackageRecovered,
    PackageRolledBack,
    PackageUninstalled,
    PackageUpgraded,
)
from stellatune_plugins.package.caps import DEFAULT_CAPS, Caps
from stellatune_plugins.package.failures import Failures, checked_id
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.granting import Grants
from stellatune_plugins.package.installed import InstalledPlugin, VerifyProblem, read_installed, verify_tree
from stellatune_plugins.package.layout import StoreLayout, WorkKind, WorkName
from stellatune_plugins.package.manifest import Manifest
from stellatune_plugins.package.opening import open_source
from stellatune_plugins.package.pending import PendingRemoval, PendingUninstall, read_pending
from stellatune_plugins.package.receipt import Receipt
from stellatune_plugins.package.recovery import settle_all
from stellatune_plugins.package.removal import Remover
from stellatune_plugins.package.shelf import Shelf, StoreScan, names_in
from stellatune_plugins.package.sources import PackageSource
from stellatune_plugins.package.staging import ProgressHook, Stager, read_manifest
from stellatune_plugins.package.switching import Switcher
from stellatune_plugins.package.versions import compare_versions
from stellatune_plugins.package.widening import Widening, widening
from stellatune_plugins.package.workspace import Workspace, store_lock

_log = logging.getLogger(__name__)

Validator = Callable[[Manifest, Path], None]
"""Looks at a staged package, at the path given, before it is installed; raises to keep it out."""

Acceptance = Callable[[Widening], bool]
"""Asked where an upgrade wants more than the installed version does; ``False`` holds the upgrade."""

LOCK_SECONDS = 30.0


def hold(_: Widening) -> bool:
    """Accepts nothing."""
    return False


class PackageInfo(msgspec.Struct, frozen=True):
    """One plugin, and the version that a rollback would bring back."""

    installed: InstalledPlugin
    previous: InstalledPlugin | None


class InstallStore:
    """The packages below one folder. Safe to use from several threads and processes at once.

    Call :meth:`recover` at start. Reading takes no lock: what it finds is always one whole version.

    With ``grants``, these follow the packages: an upgrade carries them over, an uninstall ends them. Without, a new
    version has none.
    """

    def __init__(
        self,
        folder: Path,
        bus: EventBus,
        *,
        grants: Grants | None = None,
        caps: Caps = DEFAULT_CAPS,
        fs: FsOps | None = None,
        lock_seconds: float = LOCK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._layout = StoreLayout(folder)
        self._bus = bus
        self._grants = grants
        self._caps = caps
        self._fs = fs or FsOps()
        self._lock_seconds = lock_seconds
        self._monotonic = monotonic
        self._wall = wall
        self._shelf = Shelf(self._layout)
        self._switcher = Switcher(self._layout, self._fs)
        self._remover = Remover(self._layout, self._fs, self._shelf, self._switcher)

    # --- reading ----------------------------------------------------------------------------------------------------

    def scan(self) -> StoreScan:
        """What is installed, what is on its way out, and what is damaged."""
        with Failures("scan"):
            return self._shelf.scan()

    def list(self) -> tuple[InstalledPlugin, ...]:
        """What is installed and usable, sorted by id. Removals that are not finished are not among it."""
        return self.scan().installed

    def pending(self) -> tuple[PendingRemoval, ...]:
        """Removals that are not finished."""
        with Failures("scan"):
            return tuple(self._shelf.pending())

    def get(self, plugin: str) -> InstalledPlugin:
        """One installed plugin.

        Raises:
            UsageError: where this is no plugin id.
            PluginNotInstalled: where there is none, or its removal is not finished.
            StoreFailed: where it is damaged.
        """
        with Failures("get", plugin):
            return self._shelf.get(checked_id(plugin))

    def info(self, plugin: str) -> PackageInfo:
        """One installed plugin and the version kept for rollback; raises as :meth:`get` does."""
        with Failures("info", plugin):
            installed = self._shelf.get(checked_id(plugin))
            return PackageInfo(installed, self._shelf.previous(installed.id))

    def verify(self, plugin: str) -> tuple[VerifyProblem, ...]:
        """Compare an installed plugin's files with its receipt; empty where all is well. Raises as :meth:`get` does."""
        with Failures("verify", plugin):
            installed = self._shelf.get(checked_id(plugin))
            return verify_tree(installed.root, installed.receipt)

    # --- bringing in ------------------------------------------------------------------------------------------------

    def install(
        self,
        source: str | Path | PackageSource,
        *,
        progress: ProgressHook | None = None,
        validator: Validator | None = None,
    ) -> InstalledPlugin:
        """Install a package whose plugin is not installed yet.

        Raises:
            PluginAlreadyInstalled: where it is.
            SourceUnreadable, ArchiveRefused, ManifestInvalid, NotWasm: where the package is not acceptable.
            StoreBusy, StoreFailed: where the store cannot be changed; nothing was.
            StellatuneError: what the validator raised.
        """
        started = self._monotonic()
        with Failures("install") as failures, self._opened(source, "install") as package:
            manifest, data = read_manifest(package)
            failures.plugin = manifest.id
            self._require_absent(manifest.id)
            name = WorkName(WorkKind.INSTALL, manifest.id, uuid.uuid4().hex)
            with self._workspace(name) as work:
                staged = self._stage(package, manifest, data, work, name, progress, validator)
                with self._locked():
                    self._finish_removal(manifest.id)
                    self._require_absent(manifest.id)
                    if self._grants is not None:
                        self._grants.installed(manifest)
                    self._switcher.install(work.at, manifest.id)
        installed = self._placed(staged)
        self._bus.emit(
            PackageInstalled(plugin=installed.id, version=installed.version, seconds=self._monotonic() - started)
        )
        return installed

    def upgrade(
        self,
        source: str | Path | PackageSource,
        *,
        allow_downgrade: bool = False,
        progress: ProgressHook | None = None,
        validator: Validator | None = None,
        accept: Acceptance = hold,
    ) -> InstalledPlugin:
        """Replace an installed plugin by another version; the version that it replaces stays for rollback.

        The same version again is an upgrade too where its files differ, so that authors need not count up.

        Raises:
            PluginNotInstalled: where the plugin is not installed.
            PluginAlreadyInstalled: where this very package is, or a newer version without ``allow_downgrade``.
            PermissionsHeld: where it asks for more and ``accept`` says no; nothing was changed.
            StoreBusy: also where another process changed the plugin meanwhile.
        """
        started = self._monotonic()
        with Failures("upgrade") as failures, self._opened(source, "upgrade") as package:
            manifest, data = read_manifest(package)
            failures.plugin = manifest.id
            before = self._shelf.get(manifest.id)
            _require_not_older(manifest, before, allow_downgrade=allow_downgrade)
            wider = self._widening(before.manifest, manifest)
            if wider and not accept(wider):
                raise wider.held()
            name = WorkName(WorkKind.UPGRADE, manifest.id, uuid.uuid4().hex, before.receipt.install_id)
            with self._workspace(name) as work:
                staged = self._stage(package, manifest, data, work, name, progress, validator)
                if staged.receipt.package_sha256 == before.receipt.package_sha256:
                    raise PluginAlreadyInstalled(
                        f"this very package of version {before.version} is installed", hint="nothing is to be done"
                    )
                with self._locked():
                    if self._shelf.get(manifest.id).receipt.install_id != before.receipt.install_id:
                        raise StoreBusy("another process changed the plugin meanwhile")
                    if self._grants is not None:
                        self._grants.upgraded(before.manifest, staged.manifest, wider)
                    self._switcher.upgrade(work.at, manifest.id)
        installed = self._placed(staged)
        self._bus.emit(
            PackageUpgraded(
                plugin=installed.id,
                from_version=before.version,
                to_version=installed.version,
                seconds=self._monotonic() - started,
            )
        )
        return installed

    def rollback(self, plugin: str) -> InstalledPlugin:
        """Bring back the version before; the present one is kept in its place, so a second rollback undoes the first.

        Raises:
            PluginNotInstalled: where the plugin is not installed, or no version before is kept.
            StoreFailed: where the kept version is damaged.
        """
        started = self._monotonic()
        with Failures("rollback", plugin), self._locked():
            current = self._shelf.get(checked_id(plugin))
            kept = self._shelf.previous(current.id)
            if kept is None:
                raise PluginNotInstalled(
                    "no earlier version is kept", hint="install the wanted version with `stellatune plugin upgrade`"
                )
            if verify_tree(kept.root, kept.receipt):
                raise StoreFailed(
                    f"the kept version {kept.version} is damaged", hint="install it from its package instead"
                )
            name = WorkName(WorkKind.ROLLBACK, current.id, kept.receipt.install_id, current.receipt.install_id)
            with Workspace(self._layout, self._fs, name) as work:
                self._switcher.rollback(work.at, current.id)
        self._bus.emit(
            PackageRolledBack(
                plugin=current.id,
                from_version=current.version,
                to_version=kept.version,
                seconds=self._monotonic() - started,
            )
        )
        return self._placed(kept)

    # --- taking out -------------------------------------------------------------------------------------------------

    def uninstall(self, plugin: str, *, defer: bool = False) -> PendingRemoval | None:
        """Remove a plugin and its kept version, damaged ones too. The plugin's data folder is not touched.

        Gives ``None`` once all is gone; else what is left, which :meth:`recover` goes on with. ``defer`` only marks
        the plugin, for a caller that still uses it.

        Raises:
            PluginNotInstalled: where there is none.
            StoreFailed: where it can be neither removed nor marked; nothing was changed.
        """
        started = self._monotonic()
        with Failures("uninstall", plugin):
            plugin_id = checked_id(plugin)
            with self._locked():
                if not self._shelf.is_there(plugin_id):
                    raise PluginNotInstalled("the plugin is not installed")
                version = self._shelf.version_of(plugin_id)
                record = PendingUninstall(plugin_id=plugin_id, queued_at_ms=self._now_ms())
                if defer:
                    left: PendingRemoval | None = self._remover.mark(self._layout.package(plugin_id), record)
                else:
                    left = self._remover.remove(plugin_id, record)
            self._end_grants(plugin_id)
        self._bus.emit(
            PackageUninstalled(
                plugin=plugin_id, version=version, deferred=left is not None, seconds=self._monotonic() - started
            )
        )
        return left

    # --- after a stop -----------------------------------------------------------------------------------------------

    def recover(self) -> tuple[str, ...]:
        """Finish or undo what an earlier process left half done, and go on with pending removals; says what it did.

        For the start of a program: it raises nothing, and leaves alone what another process is working at.
        """
        done: builtins.list[str] = []
        try:
            if names_in(self._layout.staging) or self._shelf.pending():
                with self._locked():
                    for plugin, detail in settle_all(self._layout, self._fs, self._switcher):
                        self._recovered(plugin, detail, done)
                    for gone in self._remover.purge():
                        self._recovered(gone, f"finished the pending removal of {gone}", done)
        except (StellatuneError, OSError) as error:
            _log.warning("the plugin folder could not be cleaned up: %s", error)
        return tuple(done)

    def purge(self) -> tuple[PendingRemoval, ...]:
        """Try every pending removal once more, those too that were given up; gives what is still left."""
        with Failures("purge"), self._locked():
            for gone in self._remover.purge(again=True):
                self._recovered(gone, f"finished the pending removal of {gone}", [])
        return self.pending()

    def _recovered(self, plugin: PluginId | None, detail: str, done: builtins.list[str]) -> None:
        done.append(detail)
        self._bus.emit(PackageRecovered(plugin=plugin, detail=detail))

    # --- steps of bringing in ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self, source: str | Path | PackageSource, operation: str) -> Iterator[PackageSource]:
        if isinstance(source, (str, Path)):
            with open_source(source, caps=self._caps, operation=operation) as package:
                yield package
        else:
            yield source

    @contextlib.contextmanager
    def _workspace(self, name: WorkName) -> Iterator[Workspace]:
        with self._locked():
            work = Workspace(self._layout, self._fs, name)
        with work:
            yield work

    def _stage(
        self,
        package: PackageSource,
        manifest: Manifest,
        data: bytes,
        work: Workspace,
        name: WorkName,
        progress: ProgressHook | None,
        validator: Validator | None,
    ) -> InstalledPlugin:
        stager = Stager(self._fs, self._caps, progress)
        receipt = stager.stage(package, manifest, data, work.at.tree, name.incoming, int(self._wall() * 1000))
        if validator is not None:
            stager.report("check")
            _validate(validator, manifest, work.at.tree, receipt)
        stager.report("switch")
        return read_installed(work.at.tree)

    def _widening(self, before: Manifest, after: Manifest) -> Widening:
        return widening(before, after) if self._grants is None else self._grants.widening(before, after)

    def _end_grants(self, plugin: PluginId) -> None:
        try:
            if self._grants is not None:
                self._grants.uninstalled(plugin)
        except StateFailed as error:  # an install of the same plugin ends them, or fails
            _log.warning("the grants of %s could not be ended: %s", plugin, error)

    def _placed(self, plugin: InstalledPlugin) -> InstalledPlugin:
        return msgspec.structs.replace(plugin, root=self._layout.package(plugin.id))

    def _require_absent(self, plugin: PluginId) -> None:
        root = self._layout.package(plugin)
        if self._shelf.is_there(plugin) and read_pending(root, plugin) is None:
            raise PluginAlreadyInstalled(f"version {self._shelf.version_of(plugin)} is installed")

    def _finish_removal(self, plugin: PluginId) -> None:
        """A plugin that is on its way out goes before it comes in again."""
        record = read_pending(self._layout.package(plugin), plugin)
        if record is None:
            return
        left = self._remover.remove(plugin, record)
        if left is not None and self._shelf.is_there(plugin):
            raise StoreFailed(f"the plugin's earlier removal cannot be finished: {left.record.last_error}")

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return store_lock(self._layout, self._fs, self._lock_seconds)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


def _require_not_older(manifest: Manifest, before: InstalledPlugin, *, allow_downgrade: bool) -> None:
    if compare_versions(manifest.version, before.version) < 0 and not allow_downgrade:
        raise PluginAlreadyInstalled(
            f"version {before.version} is installed and newer than {manifest.version}",
            hint="pass --allow-downgrade where the older version is wanted",
        )


def _validate(validator: Validator, manifest: Manifest, tree: Path, receipt: Receipt) -> None:
    try:
        validator(manifest, tree)
    except StellatuneError:
        raise
    except Exception as error:
        raise StellatuneError(f"the package could not be checked: {error}") from error
    if verify_tree(tree, receipt):
        raise StoreFailed("the staged package changed while it was checked")
