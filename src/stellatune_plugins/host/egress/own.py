"""Whether an address is one of this machine's own, public as it may look.

What listens here behind a firewall listens to the machine itself, under each of its addresses.
"""

from __future__ import annotations

import socket
from typing import Final

_NOBODYS: Final = {socket.AF_INET: "198.51.100.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation. Where they can be bound, all can be, and binding tells nothing."""


def is_this_machine(address: str) -> bool:
    """Whether this machine has the address now. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return _can_be_bound(family, address) and not _can_be_bound(family, _NOBODYS[family])


def _can_be_bound(family: socket.AddressFamily, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True
