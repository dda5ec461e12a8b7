"""What the next start does about leftovers. Cuts at every call are in tests/stress/test_package_powercut.py."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from stellatune_plugins.errors import StoreFailed
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore, PackageState
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.layout import WorkKind, WorkName
from stellatune_plugins.package.receipt import parse_receipt

ID = "org.example.gain"


class Stop(BaseException):
    """The program is gone."""


class Stopping(FsOps):
    """From the given rename on, nothing changes any more: clean-up code runs in vain, as after a kill."""

    def __init__(self, *, after: int, can_exchange: bool = True) -> None:
        self.can_exchange = can_exchange
        self.left = after

    def before(self, call: str, *paths: Path) -> None:
        """Stop where the count is used up."""
        if self.left <= 0:
            raise Stop

    def after(self, call: str, *paths: Path) -> None:
        """Count renames."""
        self.left -= call in {"rename", "exchange"}


@pytest.fixture
def two_versions(store: InstallStore, make_folder: Callable[..., Path]) -> InstallStore:
    """Version 2 installed, version 1 kept."""
    store.install(make_folder("one", version="1"))
    store.upgrade(make_folder("two", version="2"))
    return store


def versions(store: InstallStore) -> tuple[str, str | None]:
    """Installed and kept version, both whole."""
    info = store.info(ID)
    assert store.verify(ID) == ()
    return info.installed.version, info.previous.version if info.previous else None


@pytest.mark.parametrize(
    ("can_exchange", "renames", "detail", "expected"),
    [
        (True, 1, "finished", ("3", "2")),
        (True, 2, "finished", ("3", "2")),
        (False, 1, "discarded", ("2", "1")),
        (False, 2, "finished", ("3", "2")),
        (False, 3, "finished", ("3", "2")),
        (False, 4, "finished", ("3", "2")),
        (False, 5, "finished", ("3", "2")),
        (False, 6, "finished", ("3", "2")),
    ],
)
def test_an_upgrade_that_stopped_is_finished_or_undone(
    two_versions: InstallStore,
    bus: EventBus,
    make_folder: Callable[..., Path],
    tmp_path: Path,
    can_exchange: bool,
    renames: int,
    detail: str,
    expected: tuple[str, str],
) -> None:
    """After each rename of the switch, the next start brings the store to the old or the new state and says which."""
    stopping = InstallStore(tmp_path / "plugins", bus, fs=Stopping(after=renames, can_exchange=can_exchange))
    with pytest.raises(Stop):
        stopping.upgrade(make_folder("three", version="3"))

    with bus.recording() as events:
        done = two_versions.recover()

    assert done == (f"{detail} an interrupted upgrade of {ID}",)
    assert [(e.name, e.plugin) for e in events] == [("package.recovered", ID)]
    assert versions(two_versions) == expected
    assert list((tmp_path / "plugins/.staging").iterdir()) == []
    assert two_versions.recover() == ()


@pytest.mark.parametrize(
    ("renames", "expected"), [(1, ("2", "1")), (2, ("1", "2")), (3, ("1", "2"))], ids=["one", "two", "three"]
)
def test_a_rollback_that_stopped_without_exchange_is_finished_or_undone(
    two_versions: InstallStore, bus: EventBus, tmp_path: Path, renames: int, expected: tuple[str, str]
) -> None:
    """The same for a rollback by three renames."""
    with pytest.raises(Stop):
        InstallStore(tmp_path / "plugins", bus, fs=Stopping(after=renames, can_exchange=False)).rollback(ID)

    two_versions.recover()

    assert versions(two_versions) == expected


@pytest.mark.parametrize("renames", [1, 2])
def test_a_removal_that_stopped_is_finished(
    two_versions: InstallStore, bus: EventBus, tmp_path: Path, renames: int
) -> None:
    """Once the plugin is out of the way, its kept version goes too."""
    with pytest.raises(Stop):
        InstallStore(tmp_path / "plugins", bus, fs=Stopping(after=renames)).uninstall(ID)

    assert two_versions.recover() == (f"finished an interrupted removal of {ID}",)
    assert not (tmp_path / "plugins/.previous" / ID).exists()
    assert list((tmp_path / "plugins/.staging").iterdir()) == []


def test_a_removal_that_stopped_before_it_began_is_forgotten(two_versions: InstallStore, tmp_path: Path) -> None:
    """An empty work folder of a removal does not remove the plugin."""
    (tmp_path / "plugins/.staging" / str(WorkName(WorkKind.REMOVE, two_versions.get(ID).id, "x"))).mkdir()

    assert two_versions.recover() == (f"discarded an interrupted removal of {ID}",)
    assert versions(two_versions) == ("2", "1")


def test_leftovers_that_nobody_knows_are_removed(two_versions: InstallStore, tmp_path: Path) -> None:
    """Folders with other names, stray files and links in the staging area go; what links lead to stays."""
    staging = tmp_path / "plugins/.staging"
    (tmp_path / "precious").mkdir()
    (staging / "upgrade-..+x+y" / "inner").mkdir(parents=True)
    (staging / "whatever").mkdir()
    (staging / "mark-123").write_text("half a mark")
    (staging / "link").symlink_to(tmp_path / "precious")
    (staging / "whatever/link").symlink_to(tmp_path / "precious")

    done = two_versions.recover()

    assert done == ("discarded leftovers of an unknown operation",) * 2
    assert list(staging.iterdir()) == []
    assert (tmp_path / "precious").is_dir()


def test_recovery_that_fails_is_logged_and_raises_nothing(
    bus: EventBus, two_versions: InstallStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A program can start although its plugin folder cannot be cleaned up."""
    (tmp_path / "plugins/.staging/whatever").mkdir()

    class Stuck(FsOps):
        def before(self, call: str, *paths: Path) -> None:
            raise PermissionError(13, "not yours")

    with caplog.at_level(logging.WARNING):
        assert InstallStore(tmp_path / "plugins", bus, fs=Stuck()).recover() == ()

    assert "stay until the next start" in caplog.text
    assert versions(two_versions) == ("2", "1")


def test_a_kept_version_without_a_plugin_goes_at_the_next_install(
    two_versions: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Where somebody deleted the plugin's folder by hand, a rollback never brings back what was kept then."""
    (tmp_path / "plugins" / ID).rename(tmp_path / "away")

    two_versions.install(make_folder("five", version="5"))

    assert versions(two_versions) == ("5", None)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "on fire"}', "\0" * 100])
def test_an_unreadable_removal_record_still_means_removal(
    store: InstallStore, make_folder: Callable[..., Path], content: str
) -> None:
    """Whoever wrote the file meant the plugin to go."""
    plugin = store.install(make_folder())
    (plugin.root / ".uninstall-pending").write_text(content)

    (removal,) = store.pending()

    assert removal.record.state is PackageState.PENDING_UNINSTALL
    store.recover()
    assert not plugin.root.exists()


def test_a_mark_is_never_written_through_a_link(store: InstallStore, tmp_path: Path) -> None:
    """Where a plugin's folder is a link, deferring its removal touches nothing behind it; removing takes the link."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / ID).symlink_to(tmp_path / "precious")

    with pytest.raises(StoreFailed):
        store.uninstall(ID, defer=True)

    assert store.uninstall(ID) is None
    assert list((tmp_path / "precious").iterdir()) == []
    assert not (tmp_path / "plugins" / ID).is_symlink()


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"plugin_id": "../x"},
        {"files": [{"path": "../../etc/passwd", "size": 1, "sha256": "0"}]},
        {"package_sha256": "0"},
        {"files": None},
        {"installed_at_ms": "soon"},
    ],
    ids=["schema", "id", "path", "sum", "no-files", "time"],
)
def test_a_forged_receipt_is_refused(
    store: InstallStore, make_folder: Callable[..., Path], changes: dict[str, object]
) -> None:
    """A receipt of another schema, or one that does not add up, makes the package damaged."""
    plugin = store.install(make_folder())
    receipt = json.loads((plugin.root / ".install.json").read_text())
    (plugin.root / ".install.json").write_text(json.dumps({**receipt, **changes}))

    with pytest.raises(StoreFailed):
        parse_receipt((plugin.root / ".install.json").read_bytes())
    assert [d.plugin for d in store.scan().damaged] == [ID]
