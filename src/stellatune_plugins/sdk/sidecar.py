"""The sidecar's end of every transport: for helper programs written in Python.

The host runs an executable whose name ends in ``.py`` by its own interpreter, so this module is there; it needs the
standard library alone and imports in milliseconds::

    from stellatune_plugins.sdk.sidecar import Ended, open_control, open_data

    control = open_control()
    try:
        for request in control.lines():             # one JSON value a line
            if request["op"] == "open":
                pcm = open_data("pcm")              # when the plugin calls `open-data("pcm", ...)`
            control.send({"ok": True})
    except Ended:
        pass                                        # the host closed the channel, asked us to stop, or died

Every call that waits takes a ``timeout`` in seconds (``None``: for as long as it takes) and raises :class:`Ended` once
the host is gone, so no sidecar outlives it by accident. Data that the host wrote before it closed is still read first.

What is printed goes to stderr, and with it into the plugin's log: stdout is the protocol's, or nobody's.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from stellatune_plugins.host.ring import RingBroken, RingReader, RingWriter
from stellatune_plugins.sdk.sidecar_channels import Channel, Ended, FdChannel, RingChannel, host_gone

__all__ = ["Channel", "Ended", "FdChannel", "RingChannel", "Unreachable", "host_gone", "open_control", "open_data"]

_KINDS: Final = {
    "unix-socket": ("UNIX_SOCKET", "UNIX"),
    "named-pipe": ("NAMED_PIPE", "PIPE"),
    "loopback-tcp": ("LOOPBACK_TCP", "TCP"),
    "shared-memory-ring": ("SHARED_MEMORY_RING", "SHM"),
    "stdio": ("STDIO",),
}


class Unreachable(OSError):
    """Raised when the environment names no endpoint that can be opened."""


def open_control(timeout: float | None = 10.0) -> Channel:
    """The control channel, by the first transport in the host's order that opens. Call it once.

    Raises:
        Unreachable: none does.
    """
    return _open("STELLATUNE_SIDECAR_CONTROL", "STELLATUNE_SIDECAR_CONTROL", timeout)


def open_data(role: str, timeout: float | None = 10.0) -> Channel:
    """The data channel of a role; to be called once for each ``open-data`` of the plugin, in the same order.

    Raises:
        Unreachable: none that the host offered opens.
    """
    key = re.sub(r"[^A-Za-z0-9]", "_", role.strip()).upper().strip("_")
    return _open(f"STELLATUNE_SIDECAR_DATA_{key}", "STELLATUNE_SIDECAR_DATA", timeout)


def _open(own: str, general: str, timeout: float | None) -> Channel:
    order = os.environ.get(own) or os.environ.get(general)
    kinds = order.split(",") if order else _KINDS
    end = math.inf if timeout is None else time.monotonic() + timeout
    problems = []
    for kind in kinds:
        if kind == "stdio":
            return _open_stdio()
        names = [f"{start}_{spelling}" for start in (own, general) for spelling in _KINDS.get(kind, ())]
        name = next((name for name in names if os.environ.get(name)), None)
        if name is None:
            continue
        try:
            channel = _OPENERS[kind](os.environ[name], os.environ.get(f"{name}_TOKEN", ""), end)
        except (OSError, ValueError, RingBroken) as error:
            problems.append(f"{kind}: {error}")
            continue
        _keep_prints_out()
        return channel
    raise Unreachable("; ".join(problems) or f"no variable {own}_... names an endpoint")


def _open_stdio() -> Channel:
    # Private descriptors: what else this process prints must not get among the protocol.
    read_fd, write_fd = os.dup(0), os.dup(1)
    _keep_prints_out()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    return FdChannel("stdio", read_fd, write_fd)


def _keep_prints_out() -> None:
    """Nobody reads stdout: it would fill up and block."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.dup2(2, 1)


def _open_socket(kind: str, sock: socket.socket, address: Any, end: float, first: bytes = b"") -> Channel:
    try:
        sock.settimeout(None if end == math.inf else max(0.001, end - time.monotonic()))
        sock.connect(address)
        sock.sendall(first)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    fd = sock.detach()
    return FdChannel(kind, fd, fd)


def _open_unix(text: str, _token: str, end: float) -> Channel:
    return _open_socket("unix-socket", socket.socket(socket.AF_UNIX), text, end)


def _open_tcp(text: str, token: str, end: float) -> Channel:
    host, _, port = text.rpartition(":")
    sock = socket.socket(socket.AF_INET)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _open_socket("loopback-tcp", sock, (host, int(port)), end, f"{token}\n".encode() if token else b"")


def _open_pipes(text: str, _token: str, end: float) -> Channel:
    tx, rx = _pair(text)
    read_fd = os.open(tx, os.O_RDONLY | os.O_NONBLOCK)
    while time.monotonic() < end and not host_gone():
        with contextlib.suppress(OSError):
            return FdChannel("named-pipe", read_fd, os.open(rx, os.O_WRONLY | os.O_NONBLOCK))
        time.sleep(0.001)
    os.close(read_fd)
    raise Unreachable("nobody reads the pipe")


def _open_ring(text: str, _token: str, _end: float) -> Channel:
    tx, rx = _pair(text)
    rings: list[Any] = []
    try:
        for path, end_of in ((tx, RingReader), (rx, RingWriter)):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                rings.append(end_of(fd))
            finally:
                os.close(fd)
    except BaseException:
        for ring in rings:
            ring.close()
        raise
    return RingChannel(*rings)


def _pair(text: str) -> tuple[str, str]:
    """The files of ``tx=<file>;rx=<file>``, both as the host sees them: what it sends, what it receives."""
    aliases = {"write": "tx", "host_to_sidecar": "tx", "read": "rx", "sidecar_to_host": "rx"}
    files: dict[str, str] = {}
    for part in re.split("[;,]", text):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        if not equals:
            key, value = "path", part
        for name in ("tx", "rx") if key in {"path", "ring"} else (aliases.get(key, key),):
            files.setdefault(name, value.strip())
    if not (files.get("tx") and files.get("rx")):
        raise ValueError(f"no pair of files in {text!r}")
    return files["tx"], files["rx"]


_OPENERS: Final[dict[str, Callable[[str, str, float], Channel]]] = {
    "unix-socket": _open_unix,
    "named-pipe": _open_pipes,
    "loopback-tcp": _open_tcp,
    "shared-memory-ring": _open_ring,
}
