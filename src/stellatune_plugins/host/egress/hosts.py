"""Hosts as a URL may write them, and the one spelling of each: pure rules.

Whatever some library would take for an IPv4 address (``127.1``, ``0x7f000001``, ``017700000001``, full-width digits)
becomes that address here, so that what is judged, what is granted and what is connected to are one.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.package.paths import shown

MAX_NAME: Final = 253

_LABEL = re.compile(r"(?![-])[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_NUMBERS = (
    (re.compile(r"0x([0-9a-f]{0,64})", re.ASCII), 16),
    (re.compile(r"0([0-7]{0,64})", re.ASCII), 8),
    (re.compile(r"([1-9][0-9]{0,64})", re.ASCII), 10),
)


def canonical(text: str) -> str:
    """A name in lower-case ASCII without the trailing dot, or an address; IPv6 addresses in brackets.

    Raises:
        PluginFailure: ``invalid-arg``, where it is neither.
    """
    if text.startswith("["):
        return _v6(text)
    if not 0 < len(text) <= MAX_NAME + 1:
        raise _refused(text, "a host is 1 to 253 characters long")
    if "%" in text:
        raise _refused(text, "escapes and zones have no place in a host")
    name = _ascii(text).removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _v4(labels, text)
    if len(name) > MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(text, "it is no name")
    return name


def is_literal(host: str) -> bool:
    """Whether a canonical host is an address."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


def bare(host: str) -> str:
    """A canonical host without the brackets, as sockets and certificates want it."""
    return host[1:-1] if host.startswith("[") else host


def _ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        name = text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise _refused(text, "it is no name in any language") from error
    if not name:
        raise _refused(text, "it is no name in any language")
    return name


def _v4(labels: list[str], text: str) -> str:
    """As the WHATWG's URL standard reads it: 1 to 4 numbers, the last of which fills all bytes that are left."""
    if len(labels) > 4:
        raise _refused(text, "a name does not end with a number")
    numbers = [_number(label, text) for label in labels]
    *heads, last = numbers
    if any(head > 255 for head in heads) or last >= 256 ** (5 - len(numbers)):
        raise _refused(text, "a number of its address is too large")
    value = last + sum(head << (24 - 8 * index) for index, head in enumerate(heads))
    return str(ipaddress.IPv4Address(value))


def _number(label: str, text: str) -> int:
    for form, base in _NUMBERS:
        match = form.fullmatch(label)
        if match is not None:
            return int(match[1] or "0", base)
    raise _refused(text, "a name does not end with a number")


def _v6(text: str) -> str:
    if not text.endswith("]") or "[" in text[1:]:
        raise _refused(text, "its bracket is not closed")
    if "%" in text:
        raise _refused(text, "an address with a zone is one of this machine's own networks")
    try:
        return f"[{ipaddress.IPv6Address(text[1:].removesuffix(']'))}]"
    except ValueError as error:
        raise _refused(text, "it is no IPv6 address") from error


def _refused(text: str, why: str) -> PluginFailure:
    return PluginFailure("invalid-arg", f"{shown(text)} is no host: {why}")
