"""``.install.json``: what was installed, when, from where, and the sum of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from stellatune_plugins.errors import StoreFailed
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.manifest_reader import is_plugin_id
from stellatune_plugins.package.paths import path_fault

RECEIPT_SCHEMA = 1
MAX_RECEIPT_BYTES = 4 * 1024 * 1024


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One installed file."""

    path: str
    size: int
    sha256: str
    program: bool = False
    """Installed with mode 0755 instead of 0644."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``.install.json``."""

    schema: int = RECEIPT_SCHEMA
    plugin_id: PluginId
    version: str
    install_id: str
    """Names this one installation, among all of any version."""
    installed_at_ms: int
    """Milliseconds since 1970."""
    source: str
    package_sha256: str
    """Sum over all files' paths, sizes, sums and modes: the same for the same package, folder or archive."""
    files: tuple[FileRecord, ...]
    """Sorted by path; the receipt itself is not among them."""

    def to_json(self) -> bytes:
        """As it is written."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def file(self, path: str) -> FileRecord | None:
        """The record of one file."""
        return next((record for record in self.files if record.path == path), None)

    @property
    def total_bytes(self) -> int:
        """Sizes of all files together."""
        return sum(record.size for record in self.files)


def package_digest(files: Iterable[FileRecord]) -> str:
    """The sum of a package as hexadecimal SHA-256."""
    digest = hashlib.sha256()
    for record in sorted(files, key=lambda r: r.path):
        digest.update(f"{record.sha256} {record.size} {int(record.program)} {record.path}\n".encode())
    return digest.hexdigest()


def parse_receipt(data: bytes) -> Receipt:
    """Read and check a receipt; raises :class:`StoreFailed` where it is none of ours."""
    try:
        receipt = msgspec.json.decode(data, type=Receipt)
    except (msgspec.DecodeError, RecursionError) as error:  # a ValidationError is a DecodeError
        raise StoreFailed(f"the receipt is not readable: {error}") from error
    if receipt.schema != RECEIPT_SCHEMA:
        raise StoreFailed(f"the receipt has schema {receipt.schema}, which this version does not know")
    if not is_plugin_id(receipt.plugin_id):
        raise StoreFailed("the receipt names no plugin")
    if any(path_fault(record.path) for record in receipt.files):
        raise StoreFailed("the receipt lists a file outside the package")
    if package_digest(receipt.files) != receipt.package_sha256:
        raise StoreFailed("the receipt's list of files does not add up to its sum")
    return receipt
