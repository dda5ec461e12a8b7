"""The folder of compiled code: what it lets through and what it does not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from stellatune_plugins.engine.cache_files import EntryRejected
from stellatune_plugins.engine.cache_folder import STALE_SECONDS, CacheFolder
from stellatune_plugins.engine.cache_secret import KEY_FILE
from stellatune_plugins.engine.sealed import Sealed

KEYS = [bytes([n]) * 32 for n in range(8)]
PAYLOAD = bytes(range(256)) * 10
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    """A folder with one entry."""
    made = CacheFolder(tmp_path / "cache" / "code", cap_bytes=1 << 20)
    _write(made, KEYS[0])
    return made


def _write(folder: CacheFolder, key: bytes, payload: bytes = PAYLOAD) -> None:
    with Sealed.of_bytes(payload) as sealed:
        folder.write(key, sealed)


def _read(folder: CacheFolder, key: bytes) -> bytes | None:
    sealed = folder.read(key)
    if sealed is None:
        return None
    with sealed, sealed.view() as view:
        return bytes(view)


def _file(folder: CacheFolder, key: bytes = KEYS[0]) -> Path:
    return folder.path / f"{key.hex()}.code"


def test_what_was_written_is_read(folder: CacheFolder) -> None:
    """An entry comes back whole; a key that was never written is no error."""
    assert _read(folder, KEYS[0]) == PAYLOAD
    assert _read(folder, KEYS[1]) is None


def test_everything_is_private(folder: CacheFolder) -> None:
    """The folder has mode 0700 and every file in it 0600, whatever the umask."""
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.path.iterdir()} == {0o600}


def test_no_temporary_file_stays(folder: CacheFolder) -> None:
    """After a write there are the entry and the key, nothing else."""
    assert {file.name for file in folder.path.iterdir()} == {KEY_FILE, _file(folder).name}


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    """Reading, pruning and counting need no folder and make none."""
    missing = CacheFolder(tmp_path / "none", cap_bytes=1)
    assert missing.read(KEYS[0]) is None
    assert missing.prune() == missing.clear() == 0
    assert missing.usage() == (0, 0)
    missing.discard(KEYS[0])
    assert not missing.path.exists()


@pytest.mark.parametrize("at", [0, 8, 20, 50, 79, 80, 500, -1])
def test_a_flipped_bit_anywhere_is_noticed(folder: CacheFolder, at: int) -> None:
    """Magic, size, key, authenticator and payload are all covered."""
    data = bytearray(_file(folder).read_bytes())
    data[at] ^= 0x10
    _file(folder).write_bytes(data)
    with pytest.raises(EntryRejected):
        folder.read(KEYS[0])


@pytest.mark.parametrize("size", [0, 7, 79, 80, 81, 1000])
def test_a_cut_file_is_noticed(folder: CacheFolder, size: int) -> None:
    """No prefix of an entry passes."""
    os.truncate(_file(folder), size)
    with pytest.raises(EntryRejected):
        folder.read(KEYS[0])


def test_an_entry_under_another_name_is_noticed(folder: CacheFolder) -> None:
    """A genuine entry is good for its own key alone."""
    _file(folder).rename(_file(folder, KEYS[1]))
    with pytest.raises(EntryRejected, match="another key"):
        folder.read(KEYS[1])


def test_an_entry_of_another_secret_is_noticed(folder: CacheFolder, tmp_path: Path) -> None:
    """What another user's cache holds under the same key is foreign here."""
    other = CacheFolder(tmp_path / "other", cap_bytes=1 << 20)
    _write(other, KEYS[0])
    _file(folder).write_bytes(_file(other).read_bytes())
    with pytest.raises(EntryRejected, match="authentication"):
        folder.read(KEYS[0])


def test_a_link_is_not_followed(folder: CacheFolder, tmp_path: Path) -> None:
    """Not even to genuine bytes: who owns the link may point it elsewhere."""
    _file(folder).rename(tmp_path / "genuine")
    _file(folder).symlink_to(tmp_path / "genuine")
    with pytest.raises(EntryRejected, match="cannot be opened"):
        folder.read(KEYS[0])


def test_a_pipe_does_not_hang_the_host(folder: CacheFolder) -> None:
    """A FIFO in an entry's place is refused at once."""
    _file(folder).unlink()
    os.mkfifo(_file(folder), 0o600)
    with pytest.raises(EntryRejected, match="not a regular file"):
        folder.read(KEYS[0])


def test_a_folder_in_an_entrys_place_gives_way(folder: CacheFolder) -> None:
    """It is refused, and the next write replaces it."""
    _file(folder).unlink()
    (_file(folder) / "deep").mkdir(parents=True)
    with pytest.raises(EntryRejected):
        folder.read(KEYS[0])
    _write(folder, KEYS[0])
    assert _read(folder, KEYS[0]) == PAYLOAD


def test_an_entry_open_to_others_is_refused(folder: CacheFolder) -> None:
    """Others may have had it open for writing since; it is rebuilt."""
    _file(folder).chmod(0o620)
    with pytest.raises(EntryRejected, match="mode 620"):
        folder.read(KEYS[0])


def test_a_folder_that_others_can_read_is_closed_to_them(folder: CacheFolder) -> None:
    """Modes that were only too generous for reading are repaired; the entries stay good."""
    folder.path.chmod(0o755)
    assert _read(folder, KEYS[0]) == PAYLOAD
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_that_others_could_write_gets_a_new_secret(folder: CacheFolder) -> None:
    """Somebody may have put a secret of their own there, so no entry of before is believed."""
    secret = (folder.path / KEY_FILE).read_bytes()
    folder.path.chmod(0o777)
    with pytest.raises(EntryRejected, match="authentication"):
        folder.read(KEYS[0])
    assert (folder.path / KEY_FILE).read_bytes() != secret
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["short", "long", "empty", "open", "link", "folder", "pipe"])
def test_a_doubtful_secret_is_replaced(folder: CacheFolder, tmp_path: Path, damage: str) -> None:
    """A damaged or readable secret authenticates nothing; a new one takes over and the cache works on."""
    key = folder.path / KEY_FILE
    secret = key.read_bytes()
    if damage in {"short", "long", "empty"}:
        key.write_bytes({"short": secret[:31], "long": secret + b"x", "empty": b""}[damage])
    elif damage == "open":
        key.chmod(0o644)
    else:
        key.unlink()
        if damage == "link":
            (tmp_path / "known").write_bytes(secret)
            key.symlink_to(tmp_path / "known")
        elif damage == "folder":
            key.mkdir()
        else:
            os.mkfifo(key, 0o600)
    with pytest.raises(EntryRejected):
        folder.read(KEYS[0])
    assert not key.is_symlink()
    assert len(key.read_bytes()) == 32
    assert key.read_bytes() != secret
    _write(folder, KEYS[0])
    assert _read(folder, KEYS[0]) == PAYLOAD


def test_a_linked_folder_is_refused(folder: CacheFolder, tmp_path: Path) -> None:
    """The folder itself must not be a link."""
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    with pytest.raises(OSError, match="Not a directory"):
        CacheFolder(link, cap_bytes=1).read(KEYS[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_folder_and_files_are_refused(folder: CacheFolder) -> None:
    """Whoever owns a file can change it at any time."""
    os.chown(_file(folder), NOBODY, NOBODY)
    with pytest.raises(EntryRejected, match=f"owned by user {NOBODY}"):
        folder.read(KEYS[0])
    os.chown(folder.path, NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="belongs to user"):
        folder.read(KEYS[1])


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    """Reading makes an entry young; the cap counts whole files."""
    entry = len(PAYLOAD) + 80
    folder = CacheFolder(tmp_path / "code", cap_bytes=3 * entry)
    for age, key in enumerate(KEYS[:3]):
        _write(folder, key)
        os.utime(_file(folder, key), (1000 + age, 1000 + age))
    assert _read(folder, KEYS[0]) == PAYLOAD
    _write(folder, KEYS[3])
    assert [_read(folder, key) is not None for key in KEYS[:4]] == [True, False, True, True]
    assert folder.usage() == (3, 3 * entry)


def test_what_is_larger_than_the_cap_is_not_written(tmp_path: Path) -> None:
    """One huge entry does not push out everything and then itself."""
    folder = CacheFolder(tmp_path / "code", cap_bytes=100)
    _write(folder, KEYS[0])
    assert folder.usage() == (0, 0)


def test_prune_and_clear_say_how_many(folder: CacheFolder) -> None:
    """Both count the entries that they removed; the key stays."""
    _write(folder, KEYS[1])
    _write(folder, KEYS[2])
    assert folder.prune() == 0
    assert folder.prune(len(PAYLOAD) + 80) == 2
    assert folder.clear() == 1
    assert [file.name for file in folder.path.iterdir()] == [KEY_FILE]


def test_leftovers_of_the_dead_are_swept(folder: CacheFolder) -> None:
    """An old temporary file goes, a young one may be somebody's at work."""
    old, young = folder.path / ".new-old", folder.path / ".new-young"
    for file in (old, young):
        file.write_bytes(b"half")
    then = time.time() - STALE_SECONDS - 60
    os.utime(old, (then, then))
    folder.prune()
    assert (old.exists(), young.exists()) == (False, True)


def test_a_full_disk_leaves_no_half_entry(folder: CacheFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """When space runs out midway, the write fails, the old entry stays and nothing else does."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        _write(folder, KEYS[0], b"new")
    with pytest.raises(OSError, match="No space"):
        _write(folder, KEYS[1])
    monkeypatch.undo()
    assert _read(folder, KEYS[0]) == PAYLOAD
    assert {file.name for file in folder.path.iterdir()} == {KEY_FILE, _file(folder).name}


def test_a_change_through_an_open_file_cannot_follow_the_check(folder: CacheFolder) -> None:
    """A writer who opened the file earlier changes it after the check: the checked copy stays as it was."""
    with _file(folder).open("r+b") as writer:
        sealed = folder.read(KEYS[0])
        assert sealed is not None
        writer.write(b"\xff" * 2000)
        writer.flush()
        with sealed, sealed.view() as view:
            assert bytes(view) == PAYLOAD
    with pytest.raises(EntryRejected):
        folder.read(KEYS[0])


READ_ONLY = """
import os, sys, pathlib
from stellatune_plugins.engine.cache_folder import CacheFolder
from stellatune_plugins.engine.sealed import Sealed
if os.geteuid() == 0:  # root may write anywhere, so it has to be somebody else
    os.chown(sys.argv[1], 65534, 65534)
    os.setresuid(65534, 65534, 65534)
folder = CacheFolder(pathlib.Path(sys.argv[1]) / "code", cap_bytes=1 << 20)
with Sealed.of_bytes(b"code") as code:
    folder.write(bytes(32), code)
    folder.path.chmod(0o500)
    with folder.read(bytes(32)) as back:
        assert back.size == 4
    try:
        folder.write(bytes(32), code)
    except PermissionError:
        print("read-only")
"""


def test_a_read_only_folder_still_serves() -> None:
    """Entries are read where nothing can be written; writing fails as a permission error, not as a broken entry."""
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders let nobody else through
        command = [sys.executable, "-c", READ_ONLY, home]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert (done.stdout, done.stderr) == ("read-only\n", "")


WRITER = """
import sys, pathlib
from stellatune_plugins.engine.cache_folder import CacheFolder
from stellatune_plugins.engine.sealed import Sealed
folder = CacheFolder(pathlib.Path(sys.argv[1]), cap_bytes=1 << 20)
for _ in range(15):
    for key in range(4):
        with Sealed.of_bytes(bytes([key]) * 5000) as code:
            folder.write(bytes([key]) * 32, code)
"""


def test_two_processes_from_nothing_agree(tmp_path: Path) -> None:
    """Two writers that make the folder and its secret at the same moment never spoil each other's entries."""
    folder = CacheFolder(tmp_path / "code", cap_bytes=1 << 20)
    command = [sys.executable, "-c", WRITER, str(folder.path)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        for key in range(4):
            data = _read(folder, bytes([key]) * 32)
            reads += data is not None
            assert data in {None, bytes([key]) * 5000}
    assert [writer.wait() for writer in writers] == [0, 0]
    assert reads > 0
    assert folder.usage().entries == 4
