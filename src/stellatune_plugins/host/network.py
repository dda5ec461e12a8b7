"""What one plugin may have of files and the network, put together."""

from __future__ import annotations

import ssl
from typing import Protocol

from stellatune_plugins import __version__
from stellatune_plugins.host.blocking import BlockingCalls
from stellatune_plugins.host.egress import (
    Connector,
    EgressAuthority,
    EgressGuard,
    Resolver,
    SystemResolver,
    WebClient,
    connect_socket,
)
from stellatune_plugins.host.http import JsonFetcher
from stellatune_plugins.host.stream import FileAuthority, GuestStreams
from stellatune_plugins.host.timeouts import HostTimeouts


class NetworkAuthority(EgressAuthority, FileAuthority, Protocol):
    """What :class:`PluginNetwork` needs of a plugin's authority."""

    @property
    def plugin(self) -> str:
        """Its id."""
        ...


class PluginNetwork:
    """The streams and the HTTP client of one active plugin, behind one egress guard.

    Args:
        authority: what the plugin may do.
        timeouts: of everything.
        resolver: ``None`` for the system's.
        connector: makes sockets.
        tls: ``None`` for the system's trust store.
    """

    def __init__(
        self,
        authority: NetworkAuthority,
        timeouts: HostTimeouts | None = None,
        *,
        resolver: Resolver | None = None,
        connector: Connector = connect_socket,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        timeouts = timeouts if timeouts is not None else HostTimeouts()
        self._calls = BlockingCalls(authority.plugin)
        resolver = resolver if resolver is not None else SystemResolver(self._calls)
        self._guard = EgressGuard(authority, resolver, connector=connector, tls=tls)
        client = WebClient(self._guard, f"stellatune-plugins/{__version__} ({authority.plugin})")
        self.streams = GuestStreams(authority, self._guard, client, self._calls, timeouts)
        self.http = JsonFetcher(client, timeouts)

    @property
    def open_connections(self) -> int:
        """Connections that are open, or being opened."""
        return self._guard.open_connections

    def close(self) -> None:
        """End everything. May be called again, and from any thread."""
        self.http.close()
        self.streams.close()
        self._calls.close()
