"""What commands work with, opened when it is first asked for: the home, events, logs, the plugin store."""

from __future__ import annotations

import contextlib
import functools
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stellatune_plugins.cli.log_handler import LogHandler
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.progress import CompileNote
from stellatune_plugins.model import RuntimeRoute
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus, PluginLogs
from stellatune_plugins.package import Grants, InstallStore

if TYPE_CHECKING:
    from stellatune_plugins.registry import PluginRuntime


class Workbench:
    """One command's tools, as a context that puts them away.

    Args:
        common: the command's options.
        route: where :attr:`runtime` looks plugins up.
    """

    def __init__(self, common: Common, *, route: RuntimeRoute = RuntimeRoute.HYBRID) -> None:
        self._route = route
        self.home = Home.resolve(common.home)
        self.bus = EventBus()
        self._logs = PluginLogs(self.home.logs, bus=self.bus)
        self.bus.subscribe(self._logs)
        self._handler = LogHandler(self.home.logs)
        self._parts = contextlib.ExitStack()
        self.compile_note = CompileNote()

    @functools.cached_property
    def grants(self) -> Grants:
        """What the user lets plugins do."""
        return Grants(self.home, self.bus)

    @functools.cached_property
    def store(self) -> InstallStore:
        """The installed plugins; what an interrupted command left behind is cleaned up first."""
        store = InstallStore(self.home.plugins, self.bus, grants=self.grants)
        store.recover()
        return store

    @functools.cached_property
    def runtime(self) -> PluginRuntime:
        """Both runtimes' plugins, with the engine and the cache of compiled code behind them."""
        from stellatune_plugins.registry import PluginRuntime  # noqa: PLC0415 - loads the engine

        runtime = PluginRuntime(self.home, self._route, self.bus, on_progress=self.compile_note)
        self._parts.callback(runtime.close)
        return runtime

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as parts:
            parts.callback(self._logs.close)
            parts.enter_context(self._handler)
            parts.callback(self.compile_note.clear)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()
