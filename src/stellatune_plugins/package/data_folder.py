"""A plugin's own data folder: made by its authority on demand, removed with the plugin."""

from __future__ import annotations

import shutil
import uuid

from stellatune_plugins.errors import StoreFailed
from stellatune_plugins.model import Home
from stellatune_plugins.package.failures import checked_id


def remove_data(home: Home, plugin: str) -> bool:
    """Delete all that a plugin kept; gives whether there was anything.

    The folder goes out of the way first, so that a plugin of the same name never finds half of it. Links in it are
    deleted, not followed.

    Raises:
        UsageError: this is no plugin id.
        StoreFailed: it cannot be deleted.
    """
    folder = home.data_of(checked_id(plugin))
    gone = folder.with_name(f"{uuid.uuid4().hex}.gone")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreFailed(
            f"the data folder cannot be removed: {error}", plugin=plugin, operation="uninstall"
        ) from error
    try:
        if gone.is_symlink() or not gone.is_dir():
            gone.unlink()
        else:
            shutil.rmtree(gone)
    except (OSError, RecursionError) as error:  # a sidecar may have made folders of any depth
        raise StoreFailed(
            f"the data folder could not be removed whole: {error}",
            plugin=plugin,
            operation="uninstall",
            hint=f"delete {gone} by hand",
        ) from error
    return True
