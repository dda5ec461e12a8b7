"""The install store: packages in, up, back and out."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from filelock import FileLock

from stellatune_plugins.errors import (
    GuestTrap,
    ManifestInvalid,
    NotWasm,
    PluginAlreadyInstalled,
    PluginNotInstalled,
    SourceUnreadable,
    StellatuneError,
    StoreBusy,
    StoreFailed,
    UsageError,
)
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import (
    FileProblem,
    InstallStore,
    Manifest,
    PackageState,
    Progress,
    VerifyProblem,
    installed,
)
from stellatune_plugins.package.fsops import FsOps

ID = "org.example.gain"


def staging_is_empty(store_root: Path) -> bool:
    """Whether no operation left anything."""
    staging = store_root / ".staging"
    return not staging.exists() or not list(staging.iterdir())


# --- install --------------------------------------------------------------------------------------------------------


def test_an_installed_folder_has_its_files_manifest_and_receipt(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Installing copies every file to plugins/<id> and adds a receipt with their sums."""
    source = make_folder(files={"assets/readme.txt": b"hello"})

    plugin = store.install(source)

    assert plugin.root == tmp_path / "plugins" / ID
    assert plugin.manifest.version == "1.0.0"
    assert plugin.state is PackageState.INSTALLED
    assert (plugin.root / "assets/readme.txt").read_bytes() == b"hello"
    assert [r.path for r in plugin.receipt.files] == ["assets/readme.txt", "plugin.json", "wasm/gain.wasm"]
    on_disk = json.loads((plugin.root / ".install.json").read_text())
    assert on_disk["plugin_id"] == ID
    assert on_disk["schema"] == 1
    assert on_disk["source"] == str(source)
    assert store.verify(ID) == ()
    assert staging_is_empty(tmp_path / "plugins")


def test_a_zip_and_a_folder_of_the_same_files_have_the_same_digest(
    store: InstallStore, make_folder: Callable[..., Path], kit: Any, tmp_path: Path
) -> None:
    """The package digest is about content, not about where it came from."""
    archive = tmp_path / "gain.zip"
    archive.write_bytes(kit.good().build())
    from_zip = store.install(archive)
    store.uninstall(ID)

    from_folder = store.install(make_folder())

    assert from_zip.receipt.package_sha256 == from_folder.receipt.package_sha256
    assert from_zip.receipt.install_id != from_folder.receipt.install_id


def test_a_package_in_one_top_folder_is_installed_without_it(store: InstallStore, kit: Any, tmp_path: Path) -> None:
    """plugin.json may lie in one top folder of an archive."""
    archive = tmp_path / "gain.zip"
    kit.add("gain-1.0/plugin.json", json.dumps(_manifest()).encode()).add("gain-1.0/wasm/gain.wasm", _component())
    archive.write_bytes(kit.add("__MACOSX/gain-1.0/._plugin.json", b"finder").build())

    plugin = store.install(archive)

    assert sorted(r.path for r in plugin.receipt.files) == ["plugin.json", "wasm/gain.wasm"]


def test_installing_twice_is_refused_and_changes_nothing(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A second install of the same plugin is refused by name, and the first one stays as it is."""
    first = store.install(make_folder("one"))

    with pytest.raises(PluginAlreadyInstalled) as caught:
        store.install(make_folder("two", version="2.0.0"))

    assert (caught.value.plugin, caught.value.operation) == (ID, "install")
    assert store.get(ID) == first
    assert staging_is_empty(tmp_path / "plugins")


def test_an_installed_folder_can_be_installed_elsewhere(store: InstallStore, bus: EventBus, tmp_path: Path) -> None:
    """The receipt of an installed package is no part of it, so the folder is a source again."""
    source = _write_package(tmp_path / "source")
    first = store.install(source)
    second = InstallStore(tmp_path / "other", bus).install(first.root)

    assert second.receipt.files == first.receipt.files
    assert second.receipt.install_id != first.receipt.install_id


def test_modes_are_normalised_and_only_programs_may_run(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """0755 is kept below bin/ and sidecar/ alone, and set-user-id bits are never carried over."""
    source = make_folder(files={"bin/tool": b"#!/bin/sh\n", "bin/data": b"x", "assets/run.sh": b"#!/bin/sh\n"})
    (source / "bin/tool").chmod(0o6777)
    (source / "bin/data").chmod(0o600)
    (source / "assets/run.sh").chmod(0o777)

    root = store.install(source).root

    modes = {p: stat.S_IMODE((root / p).stat().st_mode) for p in ("bin/tool", "bin/data", "assets/run.sh")}
    assert modes == {"bin/tool": 0o755, "bin/data": 0o644, "assets/run.sh": 0o644}


def test_a_component_that_the_package_lacks_is_named(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """A manifest that names a missing component file is refused with the field's path."""
    source = make_folder()
    (source / "wasm/gain.wasm").unlink()

    with pytest.raises(ManifestInvalid) as caught:
        store.install(source)

    assert [p.path for p in caught.value.problems] == ["components[0].path"]
    assert caught.value.plugin == ID


@pytest.mark.parametrize(
    "content",
    [b"", b"(module)", b"(component)", b"\0asm", b"\0asm\x01\x00\x00\x00", b"MZ\x90\x00" + bytes(100)],
    ids=["empty", "text-module", "text-component", "cut-off", "core-module", "windows-program"],
)
def test_a_component_must_be_a_binary_component(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    """Only the binary form of a component is taken for one; nothing is installed otherwise."""
    with pytest.raises(NotWasm) as caught:
        store.install(make_folder(files={"wasm/gain.wasm": content}))

    assert (caught.value.plugin, caught.value.operation) == (ID, "install")
    assert store.scan() == msgspec.structs.replace(store.scan(), installed=(), pending=(), damaged=())
    assert staging_is_empty(tmp_path / "plugins")


def test_a_core_module_beside_the_component_is_fine(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """A .wasm file that no component names may be a core module, as hot paths are."""
    plugin = store.install(make_folder(files={"wasm/hot.wasm": b"\0asm\x01\x00\x00\x00"}))

    assert plugin.receipt.file("wasm/hot.wasm") is not None


def test_the_validator_sees_the_whole_package_before_it_is_installed(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The validator gets manifest and staged tree while the plugin's place is still empty."""
    seen: list[tuple[str, bool, bool]] = []

    def validator(manifest: Manifest, root: Path) -> None:
        there = (root / manifest.components[0].path).is_file()
        seen.append((manifest.id, there, (tmp_path / "plugins" / ID).exists()))

    store.install(make_folder(), validator=validator)

    assert seen == [(ID, True, False)]


def test_what_the_validator_refuses_is_not_installed(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """An error of the validator comes through, with the plugin's name, and nothing is left."""

    def validator(manifest: Manifest, root: Path) -> None:
        raise GuestTrap("it crashed")

    with pytest.raises(GuestTrap) as caught:
        store.install(make_folder(), validator=validator)

    assert caught.value.plugin == ID
    assert store.list() == ()
    assert staging_is_empty(tmp_path / "plugins")


def test_a_validator_that_breaks_is_an_error_with_its_cause(
    store: InstallStore, make_folder: Callable[..., Path]
) -> None:
    """An exception of another kind is wrapped, its cause kept."""

    def validator(manifest: Manifest, root: Path) -> None:
        raise ZeroDivisionError("oh")

    with pytest.raises(StellatuneError, match="could not be checked") as caught:
        store.install(make_folder(), validator=validator)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.plugin == ID


def test_a_validator_that_writes_into_the_package_is_noticed(
    store: InstallStore, make_folder: Callable[..., Path]
) -> None:
    """What is installed is what was copied: a change under the validator's eyes is refused."""

    def validator(manifest: Manifest, root: Path) -> None:
        (root / "wasm/gain.wasm").write_bytes(b"\0asm\x0d\x00\x01\x00more")

    with pytest.raises(StoreFailed, match="changed while it was checked"):
        store.install(make_folder(), validator=validator)

    assert store.list() == ()


def test_stopping_from_the_progress_hook_leaves_nothing(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Ctrl-C in the middle of copying leaves no plugin and no staged files."""

    def stop(progress: Progress) -> None:
        if progress.files_done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.install(make_folder(), progress=stop)

    assert store.list() == ()
    assert staging_is_empty(tmp_path / "plugins")


def test_progress_tells_files_bytes_and_steps(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """Progress counts up to the declared totals, then names the check and the switch."""
    heard: list[Progress] = []

    store.install(make_folder(), progress=heard.append, validator=lambda _manifest, _root: None)

    assert [p.step for p in heard] == ["copy", "copy", "copy", "check", "switch"]
    assert [p.files_done for p in heard] == [0, 1, 2, 2, 2]
    assert heard[-1].bytes_done == heard[-1].bytes > 0


@pytest.mark.parametrize("name", ["missing", "empty-folder", "text.zip", "pipe"])
def test_what_is_no_package_is_unreadable(store: InstallStore, tmp_path: Path, name: str) -> None:
    """A missing path, an empty folder, a file that is no zip and a pipe are refused as unreadable."""
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "text.zip").write_text("not a zip")
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SourceUnreadable) as caught:
        store.install(tmp_path / name)

    assert caught.value.operation == "install"


def test_a_full_disk_leaves_nothing_behind(bus: EventBus, make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Where writing fails, the error says so, with its cause, and the staged files are gone."""
    store = InstallStore(tmp_path / "plugins", bus, fs=Failing("write", after=1))

    with pytest.raises(StoreFailed, match="No space") as caught:
        store.install(make_folder())

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.plugin == ID
    assert store.list() == ()
    assert staging_is_empty(tmp_path / "plugins")


# --- upgrade and rollback -------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["exchange", "three-renames"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, bus: EventBus) -> InstallStore:
    """A store on a system that can swap names in one step, and on one that cannot."""
    fs = FsOps()
    fs.can_exchange = request.param
    return InstallStore(tmp_path / "plugins", bus, fs=fs)


def test_an_upgrade_keeps_the_old_version_for_rollback(
    any_store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """After an upgrade the new version is installed and the old one is kept whole."""
    old = any_store.install(make_folder("one", files={"old.txt": b"1"}))

    new = any_store.upgrade(make_folder("two", version="1.1.0", files={"new.txt": b"2"}))

    info = any_store.info(ID)
    assert info.installed == new
    assert info.previous is not None
    assert info.previous.receipt == old.receipt
    assert any_store.verify(ID) == ()
    assert not (new.root / "old.txt").exists()
    assert staging_is_empty(tmp_path / "plugins")


def test_a_second_upgrade_keeps_only_the_version_before(
    any_store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """One version is kept: the one that the last upgrade replaced."""
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        source = make_folder(version, version=version)
        any_store.install(source) if version == "1.0.0" else any_store.upgrade(source)

    info = any_store.info(ID)

    assert info.previous is not None
    assert (info.installed.version, info.previous.version) == ("3.0.0", "2.0.0")
    assert staging_is_empty(tmp_path / "plugins")


def test_a_rollback_can_be_rolled_back(any_store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """Rolling back swaps the two versions, so doing it twice changes nothing."""
    any_store.install(make_folder("one"))
    any_store.upgrade(make_folder("two", version="2.0.0"))

    back = any_store.rollback(ID)
    forth = any_store.rollback(ID)

    assert (back.version, forth.version) == ("1.0.0", "2.0.0")
    assert any_store.get(ID) == forth
    assert any_store.verify(ID) == ()


def test_a_rollback_needs_a_kept_version(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """Without an upgrade there is nothing to go back to."""
    store.install(make_folder())

    with pytest.raises(PluginNotInstalled, match="no earlier version"):
        store.rollback(ID)


def test_a_damaged_kept_version_is_not_brought_back(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A kept version whose files changed is refused, and the present one stays."""
    store.install(make_folder("one"))
    store.upgrade(make_folder("two", version="2.0.0"))
    (tmp_path / "plugins/.previous" / ID / "wasm/gain.wasm").write_bytes(b"\0asm\x0d\x00\x01\x00evil")

    with pytest.raises(StoreFailed, match="damaged"):
        store.rollback(ID)

    assert store.get(ID).version == "2.0.0"


def test_an_upgrade_needs_an_installed_plugin(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """Upgrading what is not installed is refused by name."""
    with pytest.raises(PluginNotInstalled) as caught:
        store.upgrade(make_folder())

    assert (caught.value.plugin, caught.value.operation) == (ID, "upgrade")


def test_a_downgrade_must_be_asked_for(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """An older version is refused, unless it is allowed."""
    store.install(make_folder("new", version="2.0.0"))
    old = make_folder("old", version="1.9.0")

    with pytest.raises(PluginAlreadyInstalled, match=r"2\.0\.0 is installed and newer"):
        store.upgrade(old)

    assert store.upgrade(old, allow_downgrade=True).version == "1.9.0"


def test_the_very_same_package_is_no_upgrade(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """The same version with the same files is refused; with other files it is taken."""
    source = make_folder()
    store.install(source)

    with pytest.raises(PluginAlreadyInstalled, match="very package"):
        store.upgrade(source)

    (source / "notes.txt").write_text("rebuilt")
    assert store.upgrade(source).receipt.file("notes.txt") is not None


def test_an_upgrade_notices_that_another_process_was_quicker(
    store: InstallStore, make_folder: Callable[..., Path], bus: EventBus, tmp_path: Path
) -> None:
    """Where the plugin changed while the package was staged, nothing is overwritten."""
    store.install(make_folder("one"))
    other = InstallStore(tmp_path / "plugins", bus)
    two = make_folder("two", version="2.0.0")

    def meddle(manifest: Manifest, root: Path) -> None:
        other.upgrade(two)

    with pytest.raises(StoreBusy, match="another process changed"):
        store.upgrade(make_folder("three", version="3.0.0"), validator=meddle)

    assert store.get(ID).version == "2.0.0"


def test_an_upgrade_whose_old_version_cannot_be_kept_is_undone(
    bus: EventBus, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Where keeping the old version fails, the old version is back in its place."""
    fs = Failing("rename", after=0, only="org.example.gain")
    store = InstallStore(tmp_path / "plugins", bus, fs=fs)
    fs.armed = False
    store.install(make_folder("one"))
    fs.armed = True

    with pytest.raises(StoreFailed):
        store.upgrade(make_folder("two", version="2.0.0"))

    assert store.get(ID).version == "1.0.0"
    assert store.verify(ID) == ()


def test_a_reader_of_the_old_version_never_gets_bytes_of_the_new_one(
    store: InstallStore, make_folder: Callable[..., Path]
) -> None:
    """Reading through an object from before an upgrade gives its own bytes or an error."""
    old = store.install(make_folder("one", files={"same.txt": b"same", "data.txt": b"old"}))
    store.upgrade(make_folder("two", version="2.0.0", files={"same.txt": b"same", "data.txt": b"new"}))

    assert old.read("same.txt") == b"same"
    with pytest.raises(StoreFailed, match="not what was installed"):
        old.read("data.txt")


def test_a_reader_that_is_overtaken_sees_the_new_state(
    store: InstallStore, make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that goes while it is read is not called damaged: the reader looks again."""
    store.install(make_folder("one"))
    store.upgrade(make_folder("two", version="2.0.0"))
    overtaking: list[Callable[[], object]] = []

    def read(name: str, folder: int, limit: int) -> bytes:
        if overtaking:
            overtaking.pop()()
        return _read(name, folder, limit)

    _read = installed._read
    monkeypatch.setattr(installed, "_read", read)

    three, four = make_folder("three", version="3.0.0"), make_folder("four", version="4.0.0")

    def upgrade_twice() -> None:
        store.upgrade(three)
        store.upgrade(four)  # now the version that is being read is gone for good

    overtaking.append(upgrade_twice)
    assert store.get(ID).version == "4.0.0"
    overtaking.append(lambda: store.uninstall(ID))
    assert store.scan().damaged == ()
    with pytest.raises(PluginNotInstalled):
        store.get(ID)


def test_only_listed_files_of_a_package_have_a_path(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """A path that the receipt does not list, such as one that climbs out, is refused."""
    plugin = store.install(make_folder())

    assert plugin.path("wasm/gain.wasm").is_file()
    for path in ("../../secret", "/etc/passwd", ".install.json", "wasm"):
        with pytest.raises(StoreFailed, match="has no file"):
            plugin.path(path)


# --- uninstall ------------------------------------------------------------------------------------------------------


def test_an_uninstalled_plugin_is_gone_with_its_kept_version(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Uninstalling removes the plugin and the version kept for rollback."""
    store.install(make_folder("one"))
    store.upgrade(make_folder("two", version="2.0.0"))

    assert store.uninstall(ID) is None

    assert store.list() == ()
    assert not (tmp_path / "plugins" / ID).exists()
    assert not (tmp_path / "plugins/.previous" / ID).exists()
    assert staging_is_empty(tmp_path / "plugins")


def test_a_removal_that_cannot_finish_is_written_down_and_finished_later(
    bus: EventBus, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The record has the contract's fields; the next start finishes the removal."""
    fs = Failing("rename", after=0, only=".staging")
    fs.armed = False
    store = InstallStore(tmp_path / "plugins", bus, fs=fs, wall=lambda: 12.5)
    store.install(make_folder())
    fs.armed = True

    left = store.uninstall(ID)

    assert left is not None
    assert json.loads((tmp_path / "plugins" / ID / ".uninstall-pending").read_text()) == {
        "plugin_id": ID,
        "queued_at_ms": 12500,
        "retry_count": 0,
        "last_error": left.record.last_error,
        "state": "pending_uninstall",
    }
    assert "No space" in (left.record.last_error or "")
    assert store.list() == ()
    with pytest.raises(PluginNotInstalled, match="being removed"):
        store.get(ID)
    fs.armed = False
    assert store.recover() == (f"finished the pending removal of {ID}",)
    assert not (tmp_path / "plugins" / ID).exists()


@pytest.mark.parametrize("failing_call", ["rename", "unlink"])
def test_a_removal_is_given_up_after_three_retries(
    bus: EventBus, make_folder: Callable[..., Path], tmp_path: Path, failing_call: str
) -> None:
    """Three starts try again; then the state is delete_failed, and only an explicit purge tries once more."""
    fs = Failing(failing_call, after=0, only=".staging")
    fs.armed = False
    store = InstallStore(tmp_path / "plugins", bus, fs=fs)
    store.install(make_folder())
    fs.armed = True
    store.uninstall(ID)

    states = []
    for _ in range(5):
        store.recover()
        (removal,) = store.pending()
        states.append((removal.record.retry_count, removal.record.state))

    pending, failed = PackageState.PENDING_UNINSTALL, PackageState.DELETE_FAILED
    assert states == [(1, pending), (2, pending), (3, failed), (3, failed), (3, failed)]
    fs.armed = False
    assert store.recover() == ()
    assert store.purge() == ()
    assert store.scan().pending == ()
    assert staging_is_empty(tmp_path / "plugins")


def test_a_deferred_removal_waits_for_the_next_start(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """With defer, files stay for whoever uses them, but the plugin counts as uninstalled."""
    plugin = store.install(make_folder())

    left = store.uninstall(ID, defer=True)

    assert left is not None
    assert left.record.state is PackageState.PENDING_UNINSTALL
    assert plugin.read("wasm/gain.wasm")
    assert store.list() == ()
    store.recover()
    assert not plugin.root.exists()


def test_a_plugin_on_its_way_out_can_be_installed_again(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """Installing finishes the pending removal first."""
    store.install(make_folder())
    store.uninstall(ID, defer=True)

    again = store.install(make_folder("again", version="3.0.0"))

    assert store.list() == (again,)
    assert store.pending() == ()


def test_a_record_that_says_installed_removes_nothing(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """The state `installed` in a removal's record means that there is no removal."""
    plugin = store.install(make_folder())
    record = {"plugin_id": ID, "queued_at_ms": 1, "retry_count": 0, "last_error": None, "state": "installed"}
    (plugin.root / ".uninstall-pending").write_text(json.dumps(record))

    store.recover()

    assert store.list() == (plugin,)


def test_a_removal_that_can_be_neither_done_nor_marked_is_an_error(
    bus: EventBus, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Where the folder cannot be changed at all, the plugin stays installed and the error says why."""
    fs = Failing("create", "mkdir", "rename", after=0)
    fs.armed = False
    store = InstallStore(tmp_path / "plugins", bus, fs=fs)
    plugin = store.install(make_folder())
    fs.armed = True

    with pytest.raises(StoreFailed) as caught:
        store.uninstall(ID)

    assert (caught.value.plugin, caught.value.operation) == (ID, "uninstall")
    assert store.list() == (plugin,)


def test_uninstalling_what_is_not_there_is_an_error(store: InstallStore) -> None:
    """The error names the plugin and the operation."""
    with pytest.raises(PluginNotInstalled) as caught:
        store.uninstall("org.example.other")

    assert (caught.value.plugin, caught.value.operation) == ("org.example.other", "uninstall")


@pytest.mark.parametrize("plugin", ["../evil", "", "A", "a..b", ".staging", "a\n", "a/b", "x" * 129, "\x1b[31m"])
def test_what_is_no_id_never_becomes_a_path(store: InstallStore, tmp_path: Path, plugin: str) -> None:
    """Every method that takes an id refuses a text that is none, and touches nothing."""
    (tmp_path / "evil").mkdir()
    for method in (store.get, store.info, store.verify, store.uninstall, store.rollback):
        with pytest.raises(UsageError) as caught:
            method(plugin)
        assert "\x1b" not in str(caught.value)

    assert (tmp_path / "evil").is_dir()


# --- what lies in the folder ----------------------------------------------------------------------------------------


def test_one_damaged_package_hides_no_other(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Folders without receipt, of another plugin, with another manifest, and links are listed as damaged."""
    good = store.install(make_folder())
    root = tmp_path / "plugins"
    _write_package(root / "no-receipt", id="no-receipt")
    other = store.install(make_folder("other", id="other"))
    (other.root / "plugin.json").write_bytes((other.root / "plugin.json").read_bytes() + b" ")
    moved = store.install(make_folder("moved", id="moved"))
    moved.root.rename(root / "renamed")
    (root / "link").symlink_to(good.root)
    (root / "Bad Name").mkdir()
    (root / "file").write_text("?")

    scan = store.scan()

    assert scan.installed == (good,)
    assert [d.plugin for d in scan.damaged] == ["Bad Name", "file", "link", "no-receipt", "other", "renamed"]
    assert scan.pending == ()


def test_a_damaged_package_can_be_uninstalled(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """A damaged package is refused by get and install, and removed by uninstall."""
    plugin = store.install(make_folder())
    (plugin.root / ".install.json").write_text("{}")

    with pytest.raises(StoreFailed, match=r"damaged|receipt"):
        store.get(ID)
    with pytest.raises(PluginAlreadyInstalled):
        store.install(make_folder())
    assert store.uninstall(ID) is None
    assert store.install(make_folder()).id == ID


def test_verify_names_missing_changed_and_unexpected_files(
    store: InstallStore, make_folder: Callable[..., Path]
) -> None:
    """Verification compares every file with the receipt."""
    plugin = store.install(make_folder(files={"a.txt": b"a", "b.txt": b"b", "bin/c": b"c"}))
    (plugin.root / "a.txt").unlink()
    (plugin.root / "b.txt").write_bytes(b"B")
    (plugin.root / "bin/c").chmod(0o755)
    (plugin.root / "d.txt").write_bytes(b"d")
    (plugin.root / "link").symlink_to("/etc")

    assert store.verify(ID) == (
        VerifyProblem("a.txt", FileProblem.MISSING),
        VerifyProblem("b.txt", FileProblem.CHANGED),
        VerifyProblem("bin/c", FileProblem.CHANGED),
        VerifyProblem("d.txt", FileProblem.UNEXPECTED),
        VerifyProblem("link", FileProblem.UNEXPECTED),
    )


def test_an_empty_store_is_not_created_by_reading(store: InstallStore, tmp_path: Path) -> None:
    """Looking makes no folders."""
    assert store.list() == ()
    assert store.recover() == ()
    with pytest.raises(PluginNotInstalled):
        store.get(ID)
    assert not (tmp_path / "plugins").exists()


def test_events_name_what_happened(store: InstallStore, bus: EventBus, make_folder: Callable[..., Path]) -> None:
    """Each change is one event with its plugin and versions."""
    with bus.recording() as events:
        store.install(make_folder("one"))
        store.upgrade(make_folder("two", version="2.0.0"))
        store.rollback(ID)
        store.uninstall(ID, defer=True)
        store.recover()

    assert [e.name for e in events] == [
        "package.installed",
        "package.upgraded",
        "package.rolled_back",
        "package.uninstalled",
        "package.recovered",
    ]
    assert {e.plugin for e in events} == {ID}


# --- several at once ------------------------------------------------------------------------------------------------


def test_a_busy_store_says_so_and_changes_nothing(
    bus: EventBus, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Where another holds the lock for too long, StoreBusy is raised."""
    store = InstallStore(tmp_path / "plugins", bus, lock_seconds=0)
    source = make_folder()
    (tmp_path / "plugins").mkdir()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(tmp_path / "plugins/.lock"):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(30)
        with pytest.raises(StoreBusy) as caught:
            store.install(source)
    finally:
        release.set()
        thread.join()

    assert (caught.value.plugin, caught.value.operation) == (ID, "install")
    assert store.list() == ()


def test_of_many_threads_that_install_the_same_plugin_one_wins(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Eight at once: one installs, seven are told that it is installed, and the package is whole."""
    sources = [make_folder(f"source{n}", files={"n.txt": str(n).encode()}) for n in range(8)]
    outcomes: list[str] = []

    def install(source: Path) -> None:
        try:
            outcomes.append(store.install(source).version)
        except PluginAlreadyInstalled:
            outcomes.append("refused")

    threads = [threading.Thread(target=install, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["1.0.0"] + ["refused"] * 7
    assert store.verify(ID) == ()
    assert staging_is_empty(tmp_path / "plugins")


def test_recovery_leaves_an_operation_alone_that_is_under_way(
    store: InstallStore, make_folder: Callable[..., Path], bus: EventBus, tmp_path: Path
) -> None:
    """A program that starts while another installs does not touch what that one has staged."""
    starter = InstallStore(tmp_path / "plugins", bus)
    cleaned: list[tuple[str, ...]] = []

    store.install(make_folder(), validator=lambda _manifest, _root: cleaned.append(starter.recover()))

    assert cleaned == [()]
    assert store.verify(ID) == ()


# --- helpers --------------------------------------------------------------------------------------------------------


class Failing(FsOps):
    """A file system that fails in certain calls, as a full disk would."""

    def __init__(self, *calls: str, after: int, only: str = "") -> None:
        self.calls = calls
        self.left = after
        self.only = only
        self.armed = True

    def before(self, call: str, *paths: Path) -> None:
        if self.armed and call in self.calls and self.only in str(paths[-1]):
            if self.left == 0:
                raise OSError(28, "No space left on device")
            self.left -= 1


def _component() -> bytes:
    return b"\0asm\x0d\x00\x01\x00"


def _manifest(**changes: Any) -> dict[str, Any]:
    component = {
        "id": "main",
        "path": "wasm/gain.wasm",
        "world": "stellatune:plugin/dsp-plugin@0.1.0",
        "abilities": [{"kind": "dsp", "type_id": "gain"}],
    }
    data = {"schema_version": 1, "id": ID, "name": "G", "version": "1", "api_version": 1, "components": [component]}
    return {**data, **changes}


def _write_package(root: Path, **changes: Any) -> Path:
    (root / "wasm").mkdir(parents=True)
    (root / "plugin.json").write_text(json.dumps(_manifest(**changes)))
    (root / "wasm/gain.wasm").write_bytes(_component())
    return root
