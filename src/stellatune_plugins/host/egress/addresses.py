"""Which addresses a guest may reach: pure rules, with every disguise of an IPv4 address taken off first.

Explicit tables, since what :mod:`ipaddress` calls private or global differs between releases of Python. Sources: the
IANA special-purpose address registries, RFC 6890 and those that amend it.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

Address = IPv4Address | IPv6Address


class Reach(enum.Enum):
    """How far away an address is."""

    PUBLIC = enum.auto()
    LOCAL = enum.auto()
    """This machine or its network: only where the user granted that host and port."""
    NOWHERE = enum.auto()
    """Nothing that a guest has business with; no grant opens it."""


class Verdict(NamedTuple):
    """What an address is."""

    reach: Reach
    kind: str
    """In a word or two, for messages: ``private``, ``loopback``, ``cloud metadata``."""


PUBLIC: Final = Verdict(Reach.PUBLIC, "public")
OWN: Final = Verdict(Reach.LOCAL, "this machine's own")
"""A public address of this machine, which the address itself does not tell."""


def _local(kind: str) -> Verdict:
    return Verdict(Reach.LOCAL, kind)


def _nowhere(kind: str) -> Verdict:
    return Verdict(Reach.NOWHERE, kind)


# The first that matches counts, so single addresses stand before the ranges that they lie in.
_V4: Final = tuple(
    (IPv4Network(network), verdict)
    for network, verdict in (
        ("169.254.169.254/32", _nowhere("cloud metadata")),
        ("169.254.170.2/32", _nowhere("cloud metadata")),
        ("169.254.170.23/32", _nowhere("cloud metadata")),
        ("100.100.100.200/32", _nowhere("cloud metadata")),
        ("168.63.129.16/32", _nowhere("cloud metadata")),
        ("192.0.0.192/32", _nowhere("cloud metadata")),
        ("0.0.0.0/8", _nowhere("unspecified")),
        ("127.0.0.0/8", _local("loopback")),
        ("10.0.0.0/8", _local("private")),
        ("172.16.0.0/12", _local("private")),
        ("192.168.0.0/16", _local("private")),
        ("169.254.0.0/16", _local("link-local")),
        ("100.64.0.0/10", _local("carrier-grade NAT")),
        ("198.18.0.0/15", _local("benchmarking")),
        ("192.0.0.0/24", _nowhere("reserved")),
        ("192.0.2.0/24", _nowhere("documentation")),
        ("198.51.100.0/24", _nowhere("documentation")),
        ("203.0.113.0/24", _nowhere("documentation")),
        ("192.88.99.0/24", _nowhere("reserved")),
        ("224.0.0.0/4", _nowhere("multicast")),
        ("255.255.255.255/32", _nowhere("broadcast")),
        ("240.0.0.0/4", _nowhere("reserved")),
    )
)

_V6: Final = tuple(
    (IPv6Network(network), verdict)
    for network, verdict in (
        ("fd00:ec2::254/128", _nowhere("cloud metadata")),
        ("fd00:ec2::23/128", _nowhere("cloud metadata")),
        ("fd20:ce::254/128", _nowhere("cloud metadata")),
        ("::/128", _nowhere("unspecified")),
        ("::1/128", _local("loopback")),
        ("fc00::/7", _local("private")),
        ("fe80::/10", _local("link-local")),
        ("fec0::/10", _local("site-local")),
        ("ff00::/8", _nowhere("multicast")),
        # Local-use NAT64 (RFC 8215): where the IPv4 address stands in it is the operator's choice.
        ("64:ff9b:1::/48", _local("local-use NAT64")),
        ("2001:db8::/32", _nowhere("documentation")),
        ("3fff::/20", _nowhere("documentation")),
        ("2001:2::/48", _local("benchmarking")),
        ("2001::/23", _nowhere("reserved")),  # but for Teredo, which is unwrapped before
    )
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_TEREDO: Final = IPv6Network("2001::/32")
_6TO4: Final = IPv6Network("2002::/16")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def judge(text: str) -> Verdict:
    """What an address is, as a resolver or a URL writes it. What is no address at all is nowhere."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _nowhere("malformed")
    if isinstance(address, IPv4Address):
        return _judge_v4(address)
    if address.scope_id is not None:
        return _local("link-local")
    return _judge_v6(address)


def _judge_v4(address: IPv4Address) -> Verdict:
    return next((verdict for network, verdict in _V4 if address in network), PUBLIC)


def _judge_v6(address: IPv6Address) -> Verdict:
    inner = [_judge_v4(v4) for v4 in embedded(address)]
    worst = max(inner, key=lambda verdict: verdict.reach.value, default=PUBLIC)
    if worst is not PUBLIC:
        return worst
    if any(address in network for network in (_MAPPED, _NAT64, _TEREDO)):
        return PUBLIC
    listed = next((verdict for network, verdict in _V6 if address in network), None)
    if listed is not None:
        return listed
    return PUBLIC if address in _GLOBAL_UNICAST else _nowhere("reserved")


def embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to or comes from: mapped, NAT64, 6to4, Teredo, ISATAP."""
    bits = int(address)
    low = bits & 0xFFFFFFFF
    if address in _MAPPED or address in _NAT64:
        yield IPv4Address(low)
    elif address in _6TO4:
        yield IPv4Address(bits >> 80 & 0xFFFFFFFF)
    elif address in _TEREDO:
        yield IPv4Address(bits >> 64 & 0xFFFFFFFF)  # the server
        yield IPv4Address(low ^ 0xFFFFFFFF)  # the client
    if bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(low)


def usable(text: str) -> str:
    """The address to connect to: a mapped one as the IPv4 address that it is."""
    address = ipaddress.ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
