"""Hosts by pattern: how they are written, which are the same, which pattern holds which. Pure rules.

A text is either canonical or no host at all: what a resolver might read in two ways (``127.1``, ``0x7f000001``, a name
with letters outside ASCII) is refused, so that nothing can be granted under one name and reached under another.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from stellatune_plugins.package.manifest import HostPermission

ANY_PORT: Final = 0
ANY_NAME: Final = "*"
USUAL_PORTS: Final = {"https": 443, "http": 80}
SCHEMES: Final = ("https", "http", "tcp", "udp")

_HOST = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\[\]@?#\s\\]+)(?::(?P<port>\*|[0-9]{1,5}))?", re.ASCII
)
_NAME_PART = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
"""A last part that some resolver takes for an address, whatever stands before it."""


def parse_host(text: str) -> HostPermission | None:
    """A host as it is written: ``api.example.org``, ``http://*.example.org:8443``, ``tcp://[::1]:80``, ``https://*:*``.

    ``None`` where it is none. Without a scheme it is https; tcp and udp need a port, having no usual one.
    """
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    scheme, port = match["scheme"] or "https", _port(match["port"])
    wild = match["host"] == ANY_NAME or match["host"].startswith("*.")
    host = _wild(match["host"]) if wild else canonical_host(match["host"])
    if host is None or scheme not in SCHEMES or (port is not None and not 0 <= port <= 65535):
        return None
    if match["port"] == "0" or (port is None and scheme not in USUAL_PORTS):
        return None
    return HostPermission(host, None if port == USUAL_PORTS.get(scheme) else port, scheme)


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    return ANY_PORT if text == "*" else int(text) or -1


def _wild(text: str) -> str | None:
    if text == ANY_NAME:
        return text
    name = canonical_host(text.removeprefix("*."))
    return f"*.{name}" if name is not None and not is_address(name) and "." in name else None


def host_text(host: HostPermission) -> str:
    """The one way to write it that :func:`parse_host` reads back."""
    port = "" if host.port is None else ":*" if host.port == ANY_PORT else f":{host.port}"
    return f"{host.scheme}://{host.host}{port}"


def canonical_host(text: str) -> str | None:
    """A name in lower case without a trailing dot, or an address, IPv6 in brackets; ``None`` where it is neither."""
    address = _address(text)
    if address is not None:
        return address
    name = text.removesuffix(".").lower() if text.isascii() else ""
    parts = name.split(".")
    if len(name) > 253 or _NUMBER.fullmatch(parts[-1]) or not all(_NAME_PART.fullmatch(part) for part in parts):
        return None
    return name


def _address(text: str) -> str | None:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if ":" in inner:
            return None if "%" in inner else f"[{ipaddress.IPv6Address(inner)}]"  # a zone means this machine's network
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def is_address(host: str) -> bool:
    """Whether a canonical host is an address."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


def matches(pattern: HostPermission, scheme: str, host: str, port: int) -> bool:
    """Whether a connection falls under a pattern; ``host`` is canonical. Wildcards hold names only, no addresses."""
    return pattern.scheme == scheme and _port_within(pattern, port) and _host_within(pattern.host, host)


def _host_within(pattern: str, host: str) -> bool:
    if pattern == host:
        return True
    if is_address(host):
        return False
    return pattern == ANY_NAME or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _port_within(pattern: HostPermission, port: int) -> bool:
    if pattern.port is None:
        return port == USUAL_PORTS.get(pattern.scheme)
    return pattern.port in {ANY_PORT, port}


def covers(asked: HostPermission, granted: HostPermission) -> bool:
    """Whether what is granted is no wider than what was asked. One who asks for every name may be given an address."""
    if asked.scheme != granted.scheme:
        return False
    ports = asked.port in {ANY_PORT, granted.port}
    return ports and (asked.host == ANY_NAME or _host_within(asked.host, granted.host))
