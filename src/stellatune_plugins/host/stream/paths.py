"""Which file a guest means, and in which of the folders that it may read."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.package import FilePermission
from stellatune_plugins.package.paths import shown

MAX_PATH = 4096

_URL = re.compile(r"file:(//(?P<host>[^/?#]*))?(?P<path>/[^?#]*)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class FileAuthority(Protocol):
    """The part of a plugin's authority that is about files."""

    @property
    def root(self) -> object:
        """Its package's folder."""
        ...

    @property
    def data(self) -> object:
        """Its own folder."""
        ...

    def file_roots(self) -> tuple[FilePermission, ...]:
        """Folders that it may read, or read and write, by absolute path."""
        ...

    def denied(self, what: str, wanted: str, grant: str | None) -> PluginFailure:
        """Record a denial; gives the failure to raise."""
        ...


class Place(NamedTuple):
    """A file by folder and path below it."""

    folder: str
    path: str


def plain_path(target: str) -> str:
    """The path in a target: itself, or what a ``file://`` URL names.

    Raises:
        PluginFailure: ``invalid-arg``.
    """
    path = target
    match = _URL.fullmatch(target)
    if match is not None:
        if (match["host"] or "").lower() not in {"", "localhost"}:
            raise _refused(target, "a file: URL names no other host")
        if re.search(r"%(?![0-9A-Fa-f]{2})", match["path"]):
            raise _refused(target, "it has a broken escape")
        try:
            path = urllib.parse.unquote(match["path"], errors="strict")
        except UnicodeError as error:
            raise _refused(target, "its escapes are not UTF-8") from error
    elif _SCHEME.match(target):
        raise _refused(target, "of URLs, only file: ones name files")
    if not path or "\0" in path or len(path.encode("utf-8", "surrogatepass")) > MAX_PATH:
        raise _refused(target, f"a path has 1 to {MAX_PATH} bytes and no NUL")
    if any("\ud800" <= char <= "\udfff" for char in path):
        raise _refused(target, "it is not valid Unicode")
    return path


class NotGranted(Exception):
    """Raised when a path lies below no folder that may be read; ``folder`` is the one to grant."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.folder = folder


def split_path(target: str) -> tuple[bool, list[str]]:
    """Whether a target is absolute, and its parts, of which none climbs.

    Raises:
        PluginFailure: ``invalid-arg``.
    """
    path = plain_path(target)
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _refused(target, "`..` has no place in it")
    if not parts and not path.startswith("/"):
        raise _refused(target, "it names no file")
    return path.startswith("/"), parts


def places(authority: FileAuthority, *, is_absolute: bool, parts: list[str]) -> list[Place]:
    """Where the file may be, the first that is there counts; at least one.

    An absolute path lies below a folder that may be read. A relative one is looked for in the plugin's data folder,
    then in its package.

    Raises:
        NotGranted: it may not be looked for.
        StellatuneError: the plugin has no data folder, and none can be made.
    """
    if not is_absolute:
        return [Place(str(folder), "/".join(parts)) for folder in (authority.data, authority.root)]
    whole = PurePosixPath("/", *parts)
    found = [
        Place(root.path, str(whole.relative_to(root.path)))
        for root in authority.file_roots()
        if whole.is_relative_to(root.path) and str(whole) != root.path
    ]
    if not found:
        raise NotGranted(str(whole.parent))
    # The narrowest folder: what lies above it may be somebody else's to rearrange.
    return [max(found, key=lambda place: len(place.folder))]


def _refused(target: str, why: str) -> PluginFailure:
    return PluginFailure("invalid-arg", f"{shown(target)} is no file to open: {why}")
