"""Everything that one active plugin may ask the host for, as one thing with one end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from stellatune_plugins.host.http import HttpService, NoHttp
from stellatune_plugins.host.sidecar import NoSidecars, SidecarService
from stellatune_plugins.host.stream import NoStreams, StreamService
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.authority import Denial


class ServedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the services are for."""

    plugin: PluginId
    version: str
    root: Path
    """The installed package's folder."""


class PluginServices(Protocol):
    """The services of one active plugin, from its activation to the end of its last cell."""

    @property
    def streams(self) -> StreamService: ...

    @property
    def http(self) -> HttpService: ...

    @property
    def sidecars(self) -> SidecarService: ...

    @property
    def memory_mib(self) -> int | None:
        """Linear memory of one instance; ``None`` for the host's default."""
        ...

    @property
    def deadline_factor(self) -> float:
        """What the deadlines of the plugin's calls are multiplied by."""
        ...

    def denied_since(self, moment: float) -> Denial | None:
        """What was denied last, since that moment of the monotonic clock."""
        ...

    def start(self) -> None:
        """Before the first ``on-enable``: starts the sidecars that the manifest wants started.

        Raises:
            StellatuneError: one that must run does not.
        """
        ...

    def close(self) -> None:
        """After the last cell: everything that was opened and is still open ends. May be called again."""
        ...


ServicesFactory = Callable[[ServedPlugin], PluginServices]


class NoServices:
    """Denies everything."""

    def __init__(self, plugin: ServedPlugin | None = None) -> None:
        self.plugin = plugin
        self.streams: StreamService = NoStreams()
        self.http: HttpService = NoHttp()
        self.sidecars: SidecarService = NoSidecars()
        self.memory_mib: int | None = None
        self.deadline_factor = 1.0

    def denied_since(self, moment: float) -> Denial | None:  # noqa: ARG002 - the services' signature
        """No grant would help."""
        return None

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""
