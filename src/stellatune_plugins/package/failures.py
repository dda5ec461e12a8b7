"""Naming failures: whatever leaves the store says which plugin and which operation it is about."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from stellatune_plugins.errors import StellatuneError, StoreFailed, UsageError
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.manifest_reader import is_plugin_id
from stellatune_plugins.package.paths import shown


class Failures:
    """A block in which errors get the operation, and the plugin as soon as it is known; OSError becomes StoreFailed."""

    def __init__(self, operation: str, plugin: str | None = None) -> None:
        self.operation = operation
        self.plugin = plugin if plugin is not None and is_plugin_id(plugin) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StellatuneError):
            error.at(plugin=self.plugin, operation=self.operation)
        elif isinstance(error, OSError):
            raise StoreFailed(
                f"the plugin folder could not be used: {error}", plugin=self.plugin, operation=self.operation
            ) from error


def checked_id(plugin: str) -> PluginId:
    """The id, once it is known to be one; only then may it become a path."""
    if not is_plugin_id(plugin):
        raise UsageError(f"{shown(plugin)} is no plugin id", hint="`stellatune plugin list` shows the ids")
    return PluginId(plugin)
