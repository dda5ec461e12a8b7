"""``.uninstall-pending``: a removal that was asked for and is not finished (contract, section 2)."""

from __future__ import annotations

import enum
import errno
import os
from pathlib import Path

import msgspec

from stellatune_plugins.model import PluginId
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.paths import PENDING_NAME

MAX_RETRIES = 3
MAX_PENDING_BYTES = 64 * 1024


class PackageState(enum.StrEnum):
    """Where an installed package is on its way out."""

    INSTALLED = "installed"
    PENDING_UNINSTALL = "pending_uninstall"
    DELETE_FAILED = "delete_failed"


class PendingUninstall(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of the file."""

    plugin_id: PluginId
    queued_at_ms: int
    """Milliseconds since 1970."""
    retry_count: int = 0
    last_error: str | None = None
    state: PackageState = PackageState.PENDING_UNINSTALL

    def failed(self, error: str, *, retry: bool) -> PendingUninstall:
        """After an attempt that failed; the third retry is the last that is made unasked."""
        count = self.retry_count + int(retry)
        state = PackageState.DELETE_FAILED if count >= MAX_RETRIES else PackageState.PENDING_UNINSTALL
        return msgspec.structs.replace(self, retry_count=count, last_error=error, state=state)


class PendingRemoval(msgspec.Struct, frozen=True):
    """A removal that is not finished, and where its folder is."""

    folder: Path
    record: PendingUninstall


def read_pending(folder: Path, plugin: PluginId) -> PendingUninstall | None:
    """The record in a package's folder; ``None`` where none is there, or it says ``installed``.

    A record whose content makes no sense still says that a removal was asked for.
    """
    try:
        fd = os.open(folder / PENDING_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        record = msgspec.json.decode(os.read(fd, MAX_PENDING_BYTES), type=PendingUninstall)
    except (OSError, msgspec.DecodeError, RecursionError):
        return PendingUninstall(plugin_id=plugin, queued_at_ms=0)
    finally:
        os.close(fd)
    return None if record.state is PackageState.INSTALLED else msgspec.structs.replace(record, plugin_id=plugin)


def write_pending(fs: FsOps, folder: Path, record: PendingUninstall, scratch: Path) -> None:
    """Write the record in one step, by way of a free name ``scratch`` on the same file system."""
    if folder.is_symlink():  # its target is not the store's to write to
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
    with fs.new_file(scratch) as file:
        file.write(msgspec.json.encode(record) + b"\n")
    fs.replace_file(scratch, folder / PENDING_NAME)
