"""Telling folders from archives."""

from __future__ import annotations

import stat
from pathlib import Path

from stellatune_plugins.errors import SourceUnreadable, StellatuneError
from stellatune_plugins.package.caps import DEFAULT_CAPS, Caps
from stellatune_plugins.package.folder_source import FolderSource
from stellatune_plugins.package.sources import PackageSource
from stellatune_plugins.package.zip_source import ZipSource


def open_source(path: str | Path, *, caps: Caps = DEFAULT_CAPS, operation: str = "open") -> PackageSource:
    """The folder or zip archive at a path that the user gave (which may be a link, unlike anything inside).

    Raises:
        SourceUnreadable: where there is neither, or no ``plugin.json`` in it.
        ArchiveRefused: where it has what an honest package never has.
    """
    path = Path(path)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
        return FolderSource(path, caps=caps) if is_folder else ZipSource(path, caps=caps)
    except (OSError, ValueError) as error:
        raise SourceUnreadable(f"cannot read {path}: {error}", operation=operation) from error
    except StellatuneError as error:
        error.at(operation=operation)
        raise
