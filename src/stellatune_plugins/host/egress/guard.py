"""The one way out: every connection that a guest causes is asked for here, and judged, whatever it is for."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress.addresses import OWN, Reach, judge, usable
from stellatune_plugins.host.egress.failures import ConnectionLost
from stellatune_plugins.host.egress.hosts import bare, is_literal
from stellatune_plugins.host.egress.interface import Connector, EgressAuthority, Resolver
from stellatune_plugins.host.egress.own import is_this_machine
from stellatune_plugins.host.egress.pace import AT_ONCE, Pace, Slots
from stellatune_plugins.host.egress.urls import DEFAULT_PORTS
from stellatune_plugins.host.egress.wire import Wire, connect_socket

MAX_ANSWERS: Final = 64
"""Addresses of one name; more are a trick or a mistake."""
MAX_TRIED: Final = 6


class EgressGuard:
    """Decides on, paces and makes the connections of one plugin.

    Args:
        authority: what the plugin may do.
        resolver: asked once a connection; what it says is judged, and connected to, as it is.
        connector: makes sockets.
        tls: ``None`` for the system's trust store.
        pace: ``None`` for the usual rate.
        at_once: connections open at the same time.
    """

    def __init__(
        self,
        authority: EgressAuthority,
        resolver: Resolver,
        *,
        connector: Connector = connect_socket,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        self._authority = authority
        self._resolver = resolver
        self._connector = connector
        self._tls = tls
        self._pace = pace if pace is not None else Pace()
        self._slots = Slots(at_once, "connections")

    @property
    def open_connections(self) -> int:
        """How many are open, or being opened."""
        return self._slots.taken

    def connect(self, scheme: str, host: str, port: int, deadline: Deadline) -> Wire:
        """A connection to a canonical host, with TLS up where the scheme says so.

        Raises:
            PluginFailure: ``denied``, ``timeout``, or ``io`` where there are too many.
            ConnectionLost: it cannot be made.
        """
        self.permit(scheme, host, port)
        give_back = self._slots.take()
        try:
            deadline.sleep(self._pace.take(deadline.left()))
            addresses = self._judged(scheme, host, port, deadline)
            wire = self._first(scheme, host, port, addresses, deadline, give_back)
        except BaseException:
            give_back()
            raise
        if scheme == "https":
            try:
                wire.start_tls(self._tls or trusted(), bare(host))
            except BaseException:
                wire.close()
                raise
        return wire

    def permit(self, scheme: str, host: str, port: int) -> None:
        """The name's part of the decision; raises ``denied``."""
        may = self._authority.may_connect(scheme, host, port) or self._authority.may_reach_local(scheme, host, port)
        if not may:
            # Granted as a host, a local address would be denied all the same, only later.
            local = is_literal(host) and judge(bare(host)).reach is Reach.LOCAL
            grant = f"{'local' if local else 'host'}:{site(scheme, host, port)}"
            raise self._authority.denied("connect to", site(scheme, host, port), grant)

    def refuse(self, what: str, wanted: str) -> PluginFailure:
        """The failure for something that no grant allows; recorded."""
        return self._authority.denied(what, wanted, None)

    def _judged(self, scheme: str, host: str, port: int, deadline: Deadline) -> Sequence[str]:
        """All addresses of a host; one that may not be reached spoils them all."""
        found = [bare(host)] if is_literal(host) else list(self._resolver(host, port, deadline))
        if not found:
            raise ConnectionLost(f"the name {host} has no address")
        if len(found) > MAX_ANSWERS:
            raise PluginFailure("io", f"the name {host} has more than {MAX_ANSWERS} addresses")
        where = site(scheme, host, port)
        for address in found:
            verdict = judge(address)
            if verdict.reach is Reach.NOWHERE:
                raise self._authority.denied("connect to", f"{where} at a {verdict.kind} address", None)
            if verdict.reach is Reach.PUBLIC and is_this_machine(usable(address)):
                verdict = OWN
            if verdict.reach is Reach.LOCAL and not self._authority.may_reach_local(scheme, host, port):
                raise self._authority.denied("connect to", f"{where} at a {verdict.kind} address", f"local:{where}")
        return list(dict.fromkeys(map(usable, found)))[:MAX_TRIED]

    def _first(
        self,
        scheme: str,
        host: str,
        port: int,
        addresses: Sequence[str],
        deadline: Deadline,
        give_back: Callable[[], None],
    ) -> Wire:
        """A connection to the first address that takes one, each with its share of the time."""
        kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
        last: Exception | None = None
        for index, address in enumerate(addresses):
            share = deadline.left() / (len(addresses) - index)
            part = deadline.sooner(share, f"connecting to {host}")
            try:
                sock = self._connector(address, port, kind, part)
            except OSError as error:
                last = error
            except PluginFailure as failure:
                deadline.check()
                if failure.case != "timeout":
                    raise
                last = failure
            else:
                return Wire(sock, host, deadline, give_back)
        if isinstance(last, PluginFailure):
            raise last
        reason = getattr(last, "strerror", None) or last
        raise ConnectionLost(f"{host} cannot be connected to: {reason}") from last


def site(scheme: str, host: str, port: int) -> str:
    """As grants write it."""
    return f"{scheme}://{host}" if DEFAULT_PORTS.get(scheme) == port else f"{scheme}://{host}:{port}"


_lock = threading.Lock()
_trusted: ssl.SSLContext | None = None


def trusted() -> ssl.SSLContext:
    """Certificates as the system trusts them, TLS 1.2 or newer. Made once: reading the trust store takes a while."""
    global _trusted  # noqa: PLW0603 - a constant that is dear to make
    with _lock:
        if _trusted is None:
            _trusted = ssl.create_default_context()
            _trusted.minimum_version = ssl.TLSVersion.TLSv1_2
            _trusted.set_alpn_protocols(["http/1.1"])
        return _trusted
