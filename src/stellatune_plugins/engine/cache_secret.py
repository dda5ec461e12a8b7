"""The secret that authenticates compiled code: 32 random bytes for each user's cache."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Final

from stellatune_plugins.engine.cache_files import EntryRejected, is_folder, private_file, remove, temporary
from stellatune_plugins.engine.sealed import write_all

KEY_FILE: Final = "key"
KEY_BYTES: Final = 32


def the_secret(folder: int) -> bytes:
    """The user's secret; made where it is missing, replaced where others may know it or it is damaged."""
    try:
        return _read_secret(folder)
    except FileNotFoundError:
        new_secret(folder, replace=False)
    except EntryRejected:
        new_secret(folder, replace=True)
    try:
        return _read_secret(folder)
    except EntryRejected as error:
        raise PermissionError(f"the key of the code cache: {error}") from error


def _read_secret(folder: int) -> bytes:
    with private_file(folder, KEY_FILE) as descriptor:
        secret = os.pread(descriptor, KEY_BYTES + 1, 0)
    if len(secret) != KEY_BYTES:
        raise EntryRejected("damaged")
    return secret


def new_secret(folder: int, *, replace: bool) -> None:
    """Make a secret; an older one stays or, with ``replace``, makes way, and all that it signed becomes foreign."""
    with temporary(folder) as (name, target):
        write_all(target, secrets.token_bytes(KEY_BYTES))
        os.fsync(target)
        if replace:
            if is_folder(folder, KEY_FILE):
                remove(folder, KEY_FILE)
            os.rename(name, KEY_FILE, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            # A link never replaces: of two processes that start at once, both use the first one's secret.
            with contextlib.suppress(FileExistsError):
                os.link(name, KEY_FILE, src_dir_fd=folder, dst_dir_fd=folder)
