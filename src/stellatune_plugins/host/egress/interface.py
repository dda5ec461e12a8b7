"""What the guard needs from outside: who decides, who resolves names, who makes sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline


class EgressAuthority(Protocol):
    """The part of a plugin's authority that is about the network.

    ``scheme`` is ``https``, ``http``, ``tcp`` or ``udp``; ``host`` is canonical: lower-case ASCII, IPv6 in brackets.
    """

    def may_connect(self, scheme: str, host: str, port: int) -> bool:
        """Whether this host may be asked for by this name."""
        ...

    def may_reach_local(self, scheme: str, host: str, port: int) -> bool:
        """Whether it may be reached at an address of this machine or its network."""
        ...

    def denied(self, what: str, wanted: str, grant: str | None) -> PluginFailure:
        """Record a denial; gives the failure to raise. ``what`` completes "may not"."""
        ...


class Resolver(Protocol):
    """Gives all addresses of a name, best first."""

    def __call__(self, host: str, port: int, deadline: Deadline) -> Sequence[str]: ...


Connector = Callable[[str, int, socket.SocketKind, Deadline], socket.socket]
"""Address, port, kind: a connected socket.

Raises:
    OSError: it cannot be.
    PluginFailure: the deadline's.
"""
