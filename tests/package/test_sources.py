"""Folders and archives as sources: the caps as shipped, and changes while reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import ArchiveRefused, SourceUnreadable, StoreFailed
from stellatune_plugins.package import (
    DEFAULT_CAPS,
    Caps,
    Entry,
    FolderSource,
    InstallStore,
    Progress,
    ZipSource,
    open_source,
)
from stellatune_plugins.package.caps import Budget

MIB = 1024 * 1024


def content(source: Any, path: str) -> bytes:
    """A file of a source."""
    entry: Entry = next(e for e in source.entries() if e.path == path)
    return b"".join(source.chunks(entry))


def test_a_folder_and_its_zip_are_the_same_source(make_folder: Callable[..., Path], kit: Any, tmp_path: Path) -> None:
    """Entries and bytes do not depend on the container."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(kit.good().build())
    with open_source(make_folder()) as folder, open_source(archive) as packed:
        assert isinstance(folder, FolderSource)
        assert isinstance(packed, ZipSource)
        assert {e.path for e in folder.entries()} == {e.path for e in packed.entries()}
        for path in ("plugin.json", "wasm/gain.wasm"):
            assert content(folder, path) == content(packed, path)


def test_a_link_that_the_user_names_is_followed(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Links are refused inside a package; the path to it is the user's own."""
    (tmp_path / "link").symlink_to(make_folder())

    with open_source(tmp_path / "link") as source:
        assert len(source.entries()) == 2


def test_programs_of_an_archive_without_modes_may_run(kit: Any, tmp_path: Path) -> None:
    """An archive made on Windows has no modes; what lies in bin/ is a program then."""
    archive = tmp_path / "a.zip"
    kit.good().add("bin/tool", b"MZ", central={"made": 20, "mode": 0x20}).add("bin/data", b"x")
    archive.write_bytes(kit.add("assets/x", b"x", mode=0o100777).build())

    with open_source(archive) as source:
        assert {e.path: e.program for e in source.entries() if e.path[0] in "ab"} == {
            "bin/tool": True,
            "bin/data": False,
            "assets/x": False,
        }


# --- changes while reading ------------------------------------------------------------------------------------------


def replace_by_link(path: Path) -> None:
    """Put a link in its place."""
    path.unlink()
    path.symlink_to("/etc/passwd")


def replace_by_other(path: Path) -> None:
    """Put another file in its place."""
    path.rename(path.with_name("away"))
    path.write_bytes(b"other!")


def replace_by_pipe(path: Path) -> None:
    """Put a pipe in its place."""
    path.unlink()
    os.mkfifo(path)


def replace_folder_by_link(path: Path) -> None:
    """Put a link in the place of its folder."""
    path.parent.rename(path.parent.with_name("away"))
    path.parent.symlink_to("/etc")


def grow(path: Path) -> None:
    """Make it longer."""
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    """Make it shorter."""
    os.truncate(path, 1)


@pytest.mark.parametrize(
    "change",
    [replace_by_link, replace_by_other, replace_by_pipe, replace_folder_by_link, grow, shrink, Path.unlink],
    ids=["link", "other-file", "pipe", "folder-link", "longer", "shorter", "gone"],
)
def test_a_file_that_changes_between_looking_and_reading_is_noticed(
    store: InstallStore, make_folder: Callable[..., Path], change: Callable[[Path], None]
) -> None:
    """What is opened must be what was found; the package is refused, and nothing is installed."""
    root = make_folder(files={"assets/data.txt": b"honest"})

    def meddle(progress: Progress) -> None:
        if progress.files_done == 0:
            change(root / "assets/data.txt")

    with pytest.raises(SourceUnreadable):
        store.install(root, progress=meddle)

    assert store.list() == ()


def test_a_manifest_that_changes_after_it_was_checked_is_noticed(
    store: InstallStore, make_folder: Callable[..., Path]
) -> None:
    """The manifest that was checked is the one that is installed."""
    root = make_folder()

    class Turncoat(FolderSource):
        """Gives another manifest the second time."""

        reads = 0

        def chunks(self, entry: Entry) -> Any:
            for chunk in super().chunks(entry):
                self.reads += entry.path == "plugin.json"
                yield chunk.replace(b'"Gain"', b'"Pain"') if self.reads == 2 else chunk

    with Turncoat(root) as source, pytest.raises(SourceUnreadable, match=r"plugin\.json changed"):
        store.install(source)


def test_an_archive_is_read_once(kit: Any, tmp_path: Path, store: InstallStore) -> None:
    """Overwriting an archive while it is installed changes nothing: it was read before it was looked at."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(kit.good().build())

    def overwrite(_progress: Progress) -> None:
        archive.write_bytes(b"?")

    plugin = store.install(archive, progress=overwrite)

    assert store.verify(plugin.id) == ()


# --- caps -----------------------------------------------------------------------------------------------------------


def test_the_shipped_caps_are_the_promised_ones() -> None:
    """1,000 entries, 64 MiB packed, 256 MiB in all, 128 MiB a file, ratio 100 above 1 MiB."""
    assert (
        Caps(entries=1000, packed=64 * MIB, total=256 * MIB, file=128 * MIB, ratio=100, ratio_floor=MIB) == DEFAULT_CAPS
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([(None, 128 * MIB + 1)], "file-too-large"),
        ([(None, 128 * MIB), (None, 128 * MIB), (None, 1)], "package-too-large"),
        ([(10_000, MIB + 1)], "ratio"),
        ([(100, 900_000), (100, 900_000)], "ratio"),
    ],
    ids=["file", "total", "ratio", "ratio-in-all"],
)
def test_one_byte_more_than_a_cap_is_too_much(files: list[tuple[int | None, int]], reason: str) -> None:
    """Streamed bytes count, to the byte."""
    budget = Budget(DEFAULT_CAPS)
    *allowed, (packed, size) = files
    for earlier in allowed:
        budget.start("entry", earlier[0])
        budget.take(earlier[1])
    budget.start("entry", packed)
    with pytest.raises(ArchiveRefused) as caught:
        budget.take(size)

    assert caught.value.details["reason"] == reason


def test_the_caps_themselves_are_allowed() -> None:
    """Up to the caps, nothing is refused."""
    budget = Budget(DEFAULT_CAPS)
    for packed, size in ((None, 128 * MIB), (2 * MIB, 64 * MIB), (MIB, 63 * MIB), (1, MIB)):
        budget.start("entry", packed)
        budget.take(size)

    assert budget.total == 256 * MIB


def test_a_thousand_entries_pass_and_one_more_does_not(tmp_path: Path) -> None:
    """Folders count too; the walk stops at the cap instead of reading on."""
    root = tmp_path / "package"
    (root / "d").mkdir(parents=True)
    (root / "plugin.json").write_text("{}")
    for n in range(998):
        (root / "d" / str(n)).touch()

    with open_source(root) as source:
        assert len(source.entries()) == 999
    (root / "one more").touch()
    with pytest.raises(ArchiveRefused, match="more than 1000"):
        open_source(root)


def test_an_archive_larger_than_the_cap_is_not_read_whole(tmp_path: Path) -> None:
    """A sparse archive of a terabyte is refused at the cap."""
    (tmp_path / "a.zip").touch()
    os.truncate(tmp_path / "a.zip", 1 << 40)

    with pytest.raises(ArchiveRefused) as caught:
        open_source(tmp_path / "a.zip")

    assert caught.value.details["reason"] == "archive-too-large"


def test_an_unreadable_store_folder_is_an_error_of_the_store(
    store: InstallStore, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A file where the plugin folder should be is named, with its cause."""
    (tmp_path / "plugins").write_text("a file")

    with pytest.raises(StoreFailed) as caught:
        store.install(make_folder())

    assert isinstance(caught.value.__cause__, OSError)
