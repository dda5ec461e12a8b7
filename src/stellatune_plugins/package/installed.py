"""An installed package as it lies on disk: read, and checked against its receipt."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stellatune_plugins.errors import ManifestInvalid, StoreFailed
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.manifest import Manifest
from stellatune_plugins.package.manifest_reader import MAX_MANIFEST_BYTES, parse_manifest
from stellatune_plugins.package.paths import MANIFEST_NAME, PENDING_NAME, RECEIPT_NAME, shown
from stellatune_plugins.package.pending import PackageState
from stellatune_plugins.package.receipt import MAX_RECEIPT_BYTES, FileRecord, Receipt, parse_receipt

_DAMAGED_HINT = "uninstall the plugin and install it again"
_CHUNK = 1024 * 1024


class InstalledPlugin(msgspec.Struct, frozen=True):
    """One installed version. An upgrade replaces what ``root`` names; this object goes on telling of the old one."""

    manifest: Manifest
    root: Path
    receipt: Receipt
    state: PackageState = PackageState.INSTALLED

    @property
    def id(self) -> PluginId:
        """The plugin's id."""
        return self.manifest.id

    @property
    def version(self) -> str:
        """The plugin's version."""
        return self.manifest.version

    def path(self, relative: str) -> Path:
        """Where a file of the package is; raises :class:`StoreFailed` for one that the receipt does not list."""
        self._record(relative)
        return self.root / relative

    def read(self, relative: str) -> bytes:
        """A file's bytes, never those of another version: they are checked against the receipt.

        Raises:
            StoreFailed: where the file is not listed, missing, or not what was installed.
        """
        record = self._record(relative)
        try:
            with _opened(self.root / relative) as fd, os.fdopen(os.dup(fd), "rb") as file:
                data = file.read(record.size + 1)
        except OSError as error:
            raise self._failed(f"cannot read {shown(relative)}: {error}") from error
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise self._failed(f"{shown(relative)} is not what was installed")
        return data

    def _record(self, relative: str) -> FileRecord:
        record = self.receipt.file(relative)
        if record is None:
            raise self._failed(f"the package has no file {shown(relative)}")
        return record

    def _failed(self, message: str) -> StoreFailed:
        return StoreFailed(message, plugin=self.id, operation="read", hint="see `stellatune doctor`; " + _DAMAGED_HINT)


class FileProblem(enum.StrEnum):
    """What is wrong with an installed file."""

    MISSING = "missing"
    CHANGED = "changed"
    UNEXPECTED = "unexpected"
    """It is no part of the package."""


class VerifyProblem(msgspec.Struct, frozen=True):
    """One file that is not as the receipt says."""

    path: str
    problem: FileProblem


def read_installed(root: Path) -> InstalledPlugin:
    """Read manifest and receipt of the package in a folder, both of one version even while an upgrade goes on.

    Raises:
        FileNotFoundError: where there is no folder.
        StoreFailed: where the package is damaged, or was not put there by this store.
    """
    while True:
        # Both files are read below one descriptor: it stays with the folder when another takes over its name.
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return _read_below(folder, root)
        except StoreFailed:
            # A version that was replaced or removed a moment ago is not damaged: look at what is there now.
            if os.path.samestat(os.fstat(folder), root.lstat()):
                raise
        finally:
            os.close(folder)


def _read_below(folder: int, root: Path) -> InstalledPlugin:
    receipt = parse_receipt(_read(RECEIPT_NAME, folder, MAX_RECEIPT_BYTES))
    data = _read(MANIFEST_NAME, folder, MAX_MANIFEST_BYTES)
    record = receipt.file(MANIFEST_NAME)
    if record is None or hashlib.sha256(data).hexdigest() != record.sha256:
        raise _damaged(f"{MANIFEST_NAME} is not what was installed", receipt.plugin_id)
    try:
        manifest = parse_manifest(data)
    except ManifestInvalid as error:
        raise _damaged(error.message, receipt.plugin_id) from error
    if (manifest.id, manifest.version) != (receipt.plugin_id, receipt.version):
        raise _damaged(f"receipt and {MANIFEST_NAME} name different plugins", receipt.plugin_id)
    return InstalledPlugin(manifest, root, receipt)


def _read(name: str, folder: int, limit: int) -> bytes:
    try:
        with _opened(name, folder) as fd, os.fdopen(os.dup(fd), "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise _damaged(f"cannot read its {name}: {error.strerror}") from error
    if len(data) > limit:
        raise _damaged(f"its {name} is longer than {limit} bytes")
    return data


def _damaged(message: str, plugin: str | None = None) -> StoreFailed:
    return StoreFailed(f"the installed package is damaged: {message}", plugin=plugin, hint=_DAMAGED_HINT)


@contextlib.contextmanager
def _opened(path: str | Path, folder: int | None = None) -> Iterator[int]:
    """A regular file for reading, links not followed, pipes not waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "no regular file")
        yield fd
    finally:
        os.close(fd)


def verify_tree(root: Path, receipt: Receipt) -> tuple[VerifyProblem, ...]:
    """Compare every file below a folder with the receipt, by size, mode and sum."""
    found = set(_files(root)) - {RECEIPT_NAME, PENDING_NAME}
    problems = []
    for record in receipt.files:
        if record.path not in found:
            problems.append(VerifyProblem(record.path, FileProblem.MISSING))
        elif not _is_same(root / record.path, record.size, record.sha256, program=record.program):
            problems.append(VerifyProblem(record.path, FileProblem.CHANGED))
    listed = {record.path for record in receipt.files}
    problems += [VerifyProblem(path, FileProblem.UNEXPECTED) for path in sorted(found - listed)]
    return tuple(problems)


def _files(root: Path) -> Iterator[str]:
    """Everything that is no folder, and links to folders; paths with forward slashes."""
    for folder, folders, files in os.walk(root):
        for name in files + [f for f in folders if (Path(folder) / f).is_symlink()]:
            yield (Path(folder) / name).relative_to(root).as_posix()


def _is_same(path: Path, size: int, sha256: str, *, program: bool) -> bool:
    digest = hashlib.sha256()
    try:
        with _opened(path) as fd:
            status = os.fstat(fd)
            if status.st_size != size or bool(status.st_mode & 0o111) != program:
                return False
            while chunk := os.read(fd, _CHUNK):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == sha256
