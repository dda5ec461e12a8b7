"""What commands work with, opened when it is first asked for: the home, events, logs, the plugin store."""

from __future__ import annotations

import functools
from types import TracebackType
from typing import Self

from stellatune_plugins.cli.log_handler import LogHandler
from stellatune_plugins.cli.options import Common
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus, PluginLogs
from stellatune_plugins.package import InstallStore


class Workbench:
    """One command's tools, as a context that puts them away."""

    def __init__(self, common: Common) -> None:
        self.home = Home.resolve(common.home)
        self.bus = EventBus()
        self._logs = PluginLogs(self.home.logs, bus=self.bus)
        self.bus.subscribe(self._logs)
        self._handler = LogHandler(self.home.logs)

    @functools.cached_property
    def store(self) -> InstallStore:
        """The installed plugins; what an interrupted command left behind is cleaned up first."""
        store = InstallStore(self.home.plugins, self.bus)
        store.recover()
        return store

    def __enter__(self) -> Self:
        self._handler.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handler.__exit__()
        self._logs.close()
