"""URLs of guests, read once and strictly: what is judged here is what is connected to, so no second reader differs."""

from __future__ import annotations

import contextlib
import re
import urllib.parse
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.egress.hosts import canonical
from stellatune_plugins.package.paths import shown

MAX_URL: Final = 8192
"""Characters, before and after escaping."""

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_SPLIT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_PATH_SAFE: Final = "!$%&'()*+,-./:;=@_~"
_QUERY_SAFE: Final = _PATH_SAFE + "?/"


class WebUrl(msgspec.Struct, frozen=True):
    """An http or https URL in its one spelling, without user information and fragment."""

    scheme: str
    host: str
    """Canonical (:func:`~stellatune_plugins.host.egress.hosts.canonical`)."""
    port: int
    target: str
    """Path and query, escaped, as a request line has it."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials belong to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """As the ``Host`` header has it."""
        return self.host if DEFAULT_PORTS[self.scheme] == self.port else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def site(self) -> str:
        """Without path and query, which may hold secrets: for messages and logs."""
        return f"{self.scheme}://{self.authority}"


def parse_url(text: str) -> WebUrl:
    """Read a URL.

    Raises:
        PluginFailure: ``invalid-arg``, for anything that is not an absolute http or https URL beyond doubt.
    """
    if len(text) > MAX_URL:
        raise PluginFailure("invalid-arg", f"the URL is longer than {MAX_URL} characters")
    if _FORBIDDEN.search(text) or text != text.strip():
        raise _refused(text, "it has a control character, a backslash or space around it")
    match = _SPLIT.fullmatch(text)
    if match is None:
        raise _refused(text, "it is not of the form scheme://host/path")
    scheme = match[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise _refused(text, "only http and https are spoken")
    host, port = split_authority(match[2], text)
    path = _escaped(match[3] or "/", _PATH_SAFE)
    query = "" if match[4] is None else "?" + _escaped(match[4], _QUERY_SAFE)
    if len(path) + len(query) > MAX_URL:
        raise PluginFailure("invalid-arg", f"the URL is longer than {MAX_URL} characters once escaped")
    return WebUrl(scheme, host, DEFAULT_PORTS[scheme] if port is None else port, path + query)


def parse_endpoint(text: str, scheme: str) -> tuple[str, int]:
    """Host and port of a ``tcp`` or ``udp`` target: ``host:port``, or the same after ``tcp://``.

    Raises:
        PluginFailure: ``invalid-arg``.
    """
    rest = text[len(scheme) + 3 :] if text[: len(scheme) + 3].lower() == f"{scheme}://" else text
    if len(text) > 300 or _FORBIDDEN.search(rest) or any(c in rest for c in "/?# "):
        raise PluginFailure("invalid-arg", f"{shown(text)} is not of the form host:port")
    host, port = split_authority(rest, text)
    if port is None:
        raise PluginFailure("invalid-arg", f"{shown(text)} names no port")
    return host, port


def join(base: WebUrl, location: str) -> WebUrl:
    """Where a redirect leads, relative to where it came from; raises as :func:`parse_url` does."""
    if len(location) > MAX_URL:
        raise PluginFailure("invalid-arg", f"the URL is longer than {MAX_URL} characters")
    with contextlib.suppress(UnicodeError):  # servers write UTF-8 there, which HTTP hands on as Latin-1
        location = location.encode("latin-1").decode("utf-8")
    location = location.strip(" \t")
    if _FORBIDDEN.search(location):
        raise _refused(location, "it has a control character or a backslash")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location):
        return parse_url(location)
    if location.startswith("//"):
        return parse_url(f"{base.scheme}:{location}")
    return parse_url(urllib.parse.urljoin(str(base), location))


def split_authority(text: str, whole: str) -> tuple[str, int | None]:
    """Canonical host, and port where one is given."""
    if "@" in text:
        raise _refused(whole, "user names and passwords have no place in it")
    host, port = text, None
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        host += bracket
        if rest and not rest.startswith(":"):
            raise _refused(whole, "something odd follows its address")
        port = rest[1:] if rest else None
    elif ":" in text:
        host, _, port = text.rpartition(":")
        if ":" in host:
            raise _refused(whole, "an IPv6 address stands in brackets")
    if port is not None and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        raise _refused(whole, "its port is no number from 1 to 65535")
    return canonical(host), None if port is None else int(port)


def _escaped(text: str, safe: str) -> str:
    # A lone per cent sign becomes %25, so that no reader down the line sees another escape than this one.
    text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    return urllib.parse.quote(text, safe=safe)


def _refused(text: str, why: str) -> PluginFailure:
    return PluginFailure("invalid-arg", f"{shown(without_secrets(text))} is no URL to use: {why}")


def without_secrets(text: str) -> str:
    """A URL for messages: what may hold credentials left out."""
    text = re.sub(r"//[^/?#]*@", "//...@", text)
    return re.sub(r"\?.*", "?...", text, flags=re.DOTALL)
