"""What an address is, disguises taken off."""

from __future__ import annotations

import ipaddress

import hypothesis
import hypothesis.strategies as st
import pytest

from stellatune_plugins.host.egress import Reach, judge
from stellatune_plugins.host.egress.addresses import usable
from stellatune_plugins.host.egress.own import is_this_machine

KINDS = {
    "public": "1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 172.15.255.255 "
    "172.32.0.1 192.167.255.255 192.169.0.1 169.253.255.255 169.255.0.1 198.17.255.255 198.20.0.1 223.255.255.255 "
    "192.31.196.1 2606:4700::1111 2a00:1450:4001:81b::200e 2001:4860:4860::8888 2001:200::1 2620:fe::fe "
    "64:ff9b::8.8.8.8 64:ff9b::808:808 ::ffff:1.1.1.1 2002:808:808::1 2001:0:4136:e378:8000:63bf:f7f7:f7f7",
    "loopback": "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 64:ff9b::127.0.0.1 64:ff9b::7f00:1 "
    "2002:7f00:1:: 2002:7f00:0001::1 2001:0:7f00:1:0:0:f7f7:f7f7 2001:0:808:808:0:0:80ff:fffe 2600::5efe:7f00:1 "
    "2600::200:5efe:127.0.0.1",
    "private": "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 fc00::1 fd12:3456::1 "
    "fdff:ffff::1 ::ffff:10.0.0.1 ::ffff:192.168.1.1 64:ff9b::10.0.0.1 64:ff9b::ac10:1 2002:a00:1:: 2002:c0a8:101::1 "
    "2001:0:808:808:0:0:f5ff:fffe 2a00::5efe:192.168.0.1",
    "link-local": "169.254.0.1 169.254.1.1 fe80::1 febf::1 fe80::1%eth0 fe80::5efe:8.8.8.8 ::ffff:169.254.9.9",
    "site-local": "fec0::1 feff::1",
    "cloud metadata": "169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 168.63.129.16 fd00:ec2::254 "
    "fd20:ce::254 ::ffff:169.254.169.254 64:ff9b::169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::",
    "carrier-grade NAT": "100.64.0.1 100.127.255.255 ::ffff:100.64.0.1 2002:6440:1::",
    "unspecified": ":: 0.0.0.0 0.1.2.3 0.255.255.255 ::ffff:0.0.0.0 64:ff9b::0.0.0.0",
    "multicast": "224.0.0.1 239.255.255.250 ff02::1 ff0e::1 ::ffff:224.0.0.251",
    "broadcast": "255.255.255.255 ::ffff:255.255.255.255",
    "reserved": "192.0.0.1 240.0.0.1 254.255.255.255 192.88.99.1 ::2 ::127.0.0.1 ::8.8.8.8 100::1 4000::1 5f00::1 "
    "64:ff9b:0:1::1 ::ffff:0:127.0.0.1 0:0:0:0:ffff:0:7f00:1 2001:10::1 2001:20::1 2001:1ff::1 1::1 8000::1",
    "documentation": "192.0.2.1 198.51.100.7 203.0.113.255 2001:db8::1 3fff::1 3fff:fff::1",
    "benchmarking": "198.18.0.1 198.19.255.255 ::ffff:198.18.0.1",
    "local-use NAT64": "64:ff9b:1::1 64:ff9b:1::8.8.8.8 64:ff9b:1:a9fe:a9:fe00::",
    "malformed": "localhost 1.2.3 127.1 0x7f.0.0.1 1.2.3.4.5 :::1 1::2::3 fe80 abc [::1]",
}
LOCAL = {
    "loopback",
    "private",
    "link-local",
    "site-local",
    "carrier-grade NAT",
    "benchmarking",
    "local-use NAT64",
}
CASES = [(address, kind) for kind, addresses in KINDS.items() for address in addresses.split()]


@pytest.mark.parametrize(("address", "kind"), CASES, ids=[address for address, _ in CASES])
def test_kind(address: str, kind: str) -> None:
    """Each address is of its kind, and as near as that kind is."""
    verdict = judge(address)
    assert verdict.kind == kind
    expected = Reach.PUBLIC if kind == "public" else Reach.LOCAL if kind in LOCAL else Reach.NOWHERE
    assert verdict.reach is expected


@hypothesis.given(st.ip_addresses())
def test_nothing_is_public_that_the_standard_library_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Another list, kept by others, as a check on ours; the unwrapped forms have tests of their own."""
    if judge(str(address)).reach is Reach.PUBLIC and not str(address).startswith(("64:ff9b::", "2001:0:", "2001::")):
        bad = (address.is_loopback, address.is_link_local, address.is_multicast, address.is_unspecified)
        assert not any(bad)
        assert not address.is_private or getattr(address, "ipv4_mapped", None) is not None


@hypothesis.given(st.ip_addresses(v=4))
def test_no_disguise_changes_an_ipv4_address(address: ipaddress.IPv4Address) -> None:
    """Mapped, NAT64, 6to4 and Teredo forms are as far away as the address in them."""
    plain = judge(str(address)).reach
    bits = int(address)
    high, low = bits >> 16, bits & 0xFFFF
    flipped = bits ^ 0xFFFFFFFF
    for disguised in (
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}:0:0:f7f7:f7f7",
        f"2001:0:808:808:0:0:{flipped >> 16:x}:{flipped & 0xFFFF:x}",
    ):
        assert judge(disguised).reach is plain, disguised


def test_a_mapped_address_is_connected_to_as_what_it_is() -> None:
    """Not by way of an IPv6 socket."""
    assert usable("::ffff:1.2.3.4") == "1.2.3.4"
    assert usable("2606:4700::1111") == "2606:4700::1111"


def test_this_machine_knows_its_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what can be bound here; where everything can be, that says nothing."""
    assert is_this_machine("127.0.0.1")
    assert not is_this_machine("1.1.1.1")
    assert not is_this_machine("2606:4700::1111")
    monkeypatch.setattr("socket.socket.bind", lambda *_: None)
    assert not is_this_machine("1.1.1.1")
