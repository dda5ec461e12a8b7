"""TCP and UDP streams, which a guest reads; what it has to say it says in the request's body."""

from __future__ import annotations

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Cancel, Deadline
from stellatune_plugins.host.egress import EgressGuard, Wire, parse_endpoint
from stellatune_plugins.host.stream.base import GuestStream
from stellatune_plugins.host.stream.interface import OpenRequest, StreamKind
from stellatune_plugins.host.stream.waits import Waits

MAX_DATAGRAM = 65535


class SocketStreams:
    """Opens TCP and UDP streams for one plugin, each of which ends with the owner, even while it opens."""

    def __init__(self, guard: EgressGuard, owner: Cancel) -> None:
        self._guard = guard
        self._owner = owner

    def open(self, request: OpenRequest, waits: Waits) -> TcpStream | UdpStream:
        """Connect, and send the body where there is one.

        Raises:
            PluginFailure: ``invalid-arg``, ``denied``, ``io`` or ``timeout``.
        """
        scheme = str(request.kind)
        if request.headers or request.method is not None:
            raise PluginFailure("invalid-arg", f"{scheme} takes no method and no headers")
        is_udp = request.kind is StreamKind.UDP
        if is_udp and len(request.body or b"") > MAX_DATAGRAM - 28:
            raise PluginFailure("invalid-arg", "the body does not fit into a datagram")
        host, port = parse_endpoint(request.target, scheme)
        stream = UdpStream(waits) if is_udp else TcpStream(waits)
        stream.belong_to(self._owner)
        with stream.opening():
            deadline = Deadline(waits.connect, f"connecting to {host}", stream.cancel)
            wire = self._guard.connect(scheme, host, port, deadline)
            stream.attach(wire)
            if request.body:
                wire.send_all(request.body)
        return stream


class _SocketStream(GuestStream):
    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self._waits = waits
        self._wire: Wire | None = None
        self._position = 0

    def attach(self, wire: Wire) -> None:
        """Take over a connection."""
        self._wire = wire

    def _receive(self, buffer: bytearray) -> int:
        assert self._wire is not None  # noqa: S101 - attached before anybody gets the stream
        self._wire.deadline = Deadline(self._waits.read, "waiting for data", self.cancel)
        return self._wire.recv_into(buffer)

    def _tell(self) -> int:
        return self._position

    def _put_away(self) -> None:
        if self._wire is not None:
            self._wire.close()


class TcpStream(_SocketStream):
    """Bytes as they come, to the end of the connection."""

    def _read(self, max_bytes: int) -> bytes:
        buffer = bytearray(min(max_bytes, 64 * 1024))
        count = self._receive(buffer)
        del buffer[count:]
        self._position += count
        return bytes(buffer)


class UdpStream(_SocketStream):
    """Datagrams of one peer, without their borders where a read asks for less than one; never ends by itself."""

    def __init__(self, waits: Waits) -> None:
        super().__init__(waits)
        self._rest = b""

    def _read(self, max_bytes: int) -> bytes:
        while not self._rest:  # an empty datagram is no end
            buffer = bytearray(MAX_DATAGRAM)
            count = self._receive(buffer)
            self._rest = bytes(buffer[:count])
        data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        self._position += len(data)
        return data
