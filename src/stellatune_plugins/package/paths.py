"""Which relative paths a package may have: pure rules, for manifests, folders and archives alike.

A path that passes means the same file on Linux, macOS and Windows, and lies below the package's root on each.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

MAX_PATH_BYTES = 512
MAX_PART_BYTES = 200
MAX_DEPTH = 16

RECEIPT_NAME = ".install.json"
PENDING_NAME = ".uninstall-pending"
MANIFEST_NAME = "plugin.json"

_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_ONLY = frozenset('<>:"|?*')
_DEVICE_STEMS = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
    + [f"{stem}{digit}" for stem in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"]
)


class Fault(NamedTuple):
    """Why something is refused: a stable word, and a sentence."""

    reason: str
    message: str


def path_fault(path: str) -> Fault | None:
    """What is wrong with a relative path with forward slashes; ``None`` where nothing is."""
    return _whole_fault(path) or next((f for f in map(_part_fault, path.split("/")) if f), None)


def _whole_fault(path: str) -> Fault | None:  # noqa: C901, PLR0911 - one return a rule
    if not path:
        return Fault("empty-path", "the path is empty")
    if "\0" in path:
        return Fault("nul", "the path has a NUL character")
    if any(unicodedata.category(c) == "Cs" for c in path):
        return Fault("not-unicode", "the path is not valid Unicode")
    if path.startswith(("//", "\\\\")):
        return Fault("unc-path", "the path names a network share")
    if path[0] in "/\\":
        return Fault("absolute-path", "the path is absolute")
    if _DRIVE.match(path):
        return Fault("drive-path", "the path names a drive")
    if "\\" in path:
        return Fault("backslash", "the path has a backslash; folders are parted by forward slashes")
    if not path.isprintable():  # controls, format characters (which hide or turn round what one reads), odd spaces
        return Fault("control-character", "the path has a control or invisible character")
    if len(path.encode()) > MAX_PATH_BYTES:
        return Fault("path-too-long", f"the path is longer than {MAX_PATH_BYTES} bytes")
    if path.count("/") >= MAX_DEPTH:
        return Fault("path-too-deep", f"the path is more than {MAX_DEPTH} levels deep")
    return None


def _part_fault(part: str) -> Fault | None:  # noqa: PLR0911 - one return a rule
    if not part:
        return Fault("empty-component", "the path has an empty part")
    if part == "..":
        return Fault("parent-path", "the path climbs out of its folder with `..`")
    if part == ".":
        return Fault("dot-component", "the path has a `.` part")
    if len(part.encode()) > MAX_PART_BYTES:
        return Fault("path-too-long", f"a part of the path is longer than {MAX_PART_BYTES} bytes")
    if _WINDOWS_ONLY.intersection(part):
        return Fault("reserved-character", 'the path has one of the characters < > : " | ? *')
    if part[-1] in ". ":
        return Fault("trailing-dot", "a part of the path ends with a dot or a space, which Windows drops")
    if part.split(".", 1)[0].rstrip(" ").upper() in _DEVICE_STEMS:
        return Fault("reserved-name", "a part of the path is a device's name on Windows")
    return None


def folded(path: str) -> str:
    """The same for all spellings that some file system takes for one: case, composition, compatibility forms."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", path).casefold())


class Twins:
    """Remembers paths, folders on the way included, and finds those that collide."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, bool]] = {}
        self._explicit: set[str] = set()

    def add(self, path: str, *, is_folder: bool) -> Fault | None:
        """Take in one path without trailing slash; the fault where it collides with an earlier one."""
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            fault = self._meet("/".join(parts[:depth]), is_folder=is_folder or depth < len(parts))
            if fault:
                return fault
        if path in self._explicit:
            return Fault("duplicate", "the path is there twice")
        self._explicit.add(path)
        return None

    def _meet(self, path: str, *, is_folder: bool) -> Fault | None:
        earlier, was_folder = self._seen.setdefault(folded(path), (path, is_folder))
        if earlier != path:
            return Fault("twin", f"{shown(path)} and {shown(earlier)} are one file on some systems")
        if was_folder != is_folder:
            return Fault("file-and-folder", f"{shown(path)} is both a file and a folder")
        return None


def shown(text: str, limit: int = 120) -> str:
    """Foreign text as it may be printed: quoted, ASCII, escapes for the rest, cut to a length."""
    quoted = ascii(text)
    return quoted if len(quoted) <= limit else quoted[: limit - 3] + "..."
