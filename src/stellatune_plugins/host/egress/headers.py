"""Request headers of guests: which are refused, which stay behind at a redirect to somebody else. Pure rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.package.paths import shown

MAX_HEADERS: Final = 64
MAX_HEADER_BYTES: Final = 16 * 1024
"""All names and values together."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)

FORBIDDEN: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
"""What frames the message or speaks of the connection is the host's; so is everything of proxies."""

OWN: Final = frozenset({"accept-encoding"})
"""What a guest may ask for without effect: bodies come as they are."""

HARMLESS: Final = frozenset(
    {
        "accept",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "icy-metadata",
        "if-range",
        "pragma",
        "range",
        "user-agent",
    }
)
"""What another origin may see. A list of what may go, not of what may not: secrets travel in headers of any name."""

OF_BODY: Final = frozenset({"content-type", "content-language", "content-encoding", "content-location"})


def checked_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name in small letters, repeated ones joined by commas.

    Raises:
        PluginFailure: ``invalid-arg``: too many, too long, not plain ASCII on one line, or not the guest's to set.
    """
    checked: dict[str, str] = {}
    size = 0
    for count, (name, value) in enumerate(headers, 1):
        size += len(name) + len(value)
        if count > MAX_HEADERS or size > MAX_HEADER_BYTES:
            raise PluginFailure("invalid-arg", f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them")
        if not _NAME.fullmatch(name):
            raise PluginFailure("invalid-arg", f"{shown(name)} is no header's name")
        if not _VALUE.fullmatch(value):
            raise PluginFailure("invalid-arg", f"the header {name} has a value that is not plain ASCII on one line")
        key = name.lower()
        if key in FORBIDDEN or key.startswith(("proxy-", "sec-")):
            raise PluginFailure("invalid-arg", f"the header {name} is not the plugin's to set")
        if key not in OWN:
            checked[key] = f"{checked[key]}{'; ' if key == 'cookie' else ', '}{value}" if key in checked else value
    return checked


def for_another_origin(headers: Mapping[str, str]) -> dict[str, str]:
    """What is left of them when a redirect leads to another origin."""
    return {name: value for name, value in headers.items() if name in HARMLESS}


def without_body(headers: Mapping[str, str]) -> dict[str, str]:
    """What is left of them when a redirect turns the request into one without a body."""
    return {name: value for name, value in headers.items() if name not in OF_BODY}
