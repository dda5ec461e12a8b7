"""One plugin's files and network, with a resolver and a connector of the test's."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress import ConnectionLost, connect_socket
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import PluginId
from stellatune_plugins.package import Authority, Denial, FilePermission, parse_grant

QUICK = HostTimeouts(connect=2.0, read=2.0, file=2.0, fetch=2.0)


class Names:
    """A resolver that knows what the test tells it; answers may differ from time to time."""

    def __init__(self, table: dict[str, Sequence[str]] | None = None) -> None:
        self.table: dict[str, list[Sequence[str]]] = {name: [found] for name, found in (table or {}).items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, deadline: Deadline) -> Sequence[str]:
        self.asked.append(host)
        answers = self.table.get(host)
        if not answers:
            raise ConnectionLost(f"the name {host} cannot be resolved")
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Detour:
    """A connector that writes down where a connection was to go, and leads it to a local port instead."""

    def __init__(self, ports: dict[int, int] | int | None = None) -> None:
        self.ports = ports
        self.went: list[tuple[str, int]] = []

    def __call__(self, address: str, port: int, kind: socket.SocketKind, deadline: Deadline) -> socket.socket:
        self.went.append((address, port))
        there = self.ports.get(port, port) if isinstance(self.ports, dict) else self.ports
        if there is None:
            raise ConnectionRefusedError("nothing is connected in this test")
        return connect_socket("127.0.0.1", there, kind, deadline)


class Bench:
    """Makes the network of a plugin with these grants, and keeps what was denied."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "package"
        self.data = folder / "data"
        self.root.mkdir()
        self.denials: list[Denial] = []
        self._networks: list[PluginNetwork] = []

    def authority(self, *grants: str) -> Authority:
        return Authority(
            PluginId("org.example.net"),
            "1.0.0",
            self.root,
            self.data,
            granted=[parse_grant(grant) for grant in grants],
            on_denied=self.denials.append,
        )

    def network(self, *grants: str, timeouts: HostTimeouts = QUICK, **parts: Any) -> PluginNetwork:
        network = PluginNetwork(self.authority(*grants), timeouts, **parts)
        self._networks.append(network)
        return network

    def close(self) -> None:
        for network in self._networks:
            network.close()
            assert network.open_connections == 0


class Generous:
    """An authority that lets every name and public address through, and nothing local: the guard stands alone."""

    plugin = PluginId("org.example.generous")

    def __init__(self, folder: Path) -> None:
        self.root = self.data = folder
        self.denials: list[tuple[str, str, str | None]] = []

    def may_connect(self, scheme: str, host: str, port: int) -> bool:
        return True

    def may_reach_local(self, scheme: str, host: str, port: int) -> bool:
        return False

    def file_roots(self) -> tuple[FilePermission, ...]:
        return ()

    def denied(self, what: str, wanted: str, grant: str | None) -> PluginFailure:
        self.denials.append((what, wanted, grant))
        return PluginFailure("denied", f"may not {what} {wanted}")


def case_of(call: Callable[[], object]) -> str:
    """The case that a call answers with; ``ok`` where it works."""
    try:
        call()
    except PluginFailure as failure:
        return failure.case
    return "ok"
