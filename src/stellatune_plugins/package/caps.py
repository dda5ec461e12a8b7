"""How much a package may hold, and the count of what has streamed so far."""

from __future__ import annotations

import msgspec

from stellatune_plugins.errors import ArchiveRefused
from stellatune_plugins.package.paths import shown

MIB = 1024 * 1024


class Caps(msgspec.Struct, frozen=True):
    """Upper bounds; sizes in bytes."""

    entries: int = 1000
    packed: int = 64 * MIB
    """The archive as it lies on disk."""
    total: int = 256 * MIB
    """All files together, as they come out."""
    file: int = 128 * MIB
    """One file, as it comes out."""
    ratio: int = 100
    """How many times its packed size an entry, or all of them, may grow to ..."""
    ratio_floor: int = MIB
    """... once more than this came out."""


DEFAULT_CAPS = Caps()


class Budget:
    """Counts bytes as they come out of a source. What headers say is never asked."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._total = 0
        self._total_packed = 0
        self._packed: int | None = None
        self._file = 0
        self._entry = ""

    @property
    def total(self) -> int:
        """Bytes so far."""
        return self._total

    def start(self, entry: str, packed: int | None) -> None:
        """The next entry begins; ``packed`` is its measured size in the archive, ``None`` in a folder."""
        self._entry, self._packed, self._file = entry, packed, 0
        self._total_packed += packed or 0

    def take(self, count: int) -> None:
        """So many bytes came out of the present entry."""
        self._file += count
        self._total += count
        caps = self._caps
        if self._file > caps.file:
            raise refusal("file-too-large", f"a file is larger than {caps.file} bytes", self._entry)
        if self._total > caps.total:
            raise refusal("package-too-large", f"the files are larger than {caps.total} bytes in all", self._entry)
        if self._packed is None:
            return
        if _exceeds(self._file, self._packed, caps) or _exceeds(self._total, self._total_packed, caps):
            raise refusal("ratio", f"an entry grows to more than {caps.ratio} times its size", self._entry)


def _exceeds(out: int, packed: int, caps: Caps) -> bool:
    return out > caps.ratio_floor and out > caps.ratio * packed


def refusal(reason: str, message: str, entry: str | None = None) -> ArchiveRefused:
    """An :class:`ArchiveRefused` whose details have ``reason``, a stable word, and ``entry``."""
    if entry is None:
        return ArchiveRefused(message, reason=reason)
    return ArchiveRefused(f"{message}: {shown(entry)}", reason=reason, entry=shown(entry))
