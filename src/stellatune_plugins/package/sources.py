"""Where a package's bytes come from: a folder or an archive, behind one small interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from stellatune_plugins.errors import SourceUnreadable
from stellatune_plugins.package.caps import Caps, refusal
from stellatune_plugins.package.nested import is_archive_name
from stellatune_plugins.package.paths import MANIFEST_NAME, PENDING_NAME, RECEIPT_NAME, Twins, folded, path_fault

CHUNK_BYTES = 64 * 1024

_APPLE_FOLDER = "__MACOSX"
_PROGRAM_FOLDERS = ("bin/", "sidecar/")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a package."""

    path: str
    """Below the package's root, with forward slashes."""
    size: int
    """As the source declares it, in bytes; believed by nobody."""
    packed: int | None
    """Measured size in the archive, in bytes; ``None`` in a folder."""
    program: bool
    """Whether it may be executed: only below ``bin/`` and ``sidecar/``."""
    origin: str
    """The source's own name for it."""


class PackageSource(Protocol):
    """A package to read from. Everything it says is hostile until it was checked."""

    @property
    def label(self) -> str:
        """Where it is, for receipts and messages."""
        ...

    def entries(self) -> Sequence[Entry]:
        """The files. Folders are implied by paths; empty ones are left out."""
        ...

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """A file's bytes, a chunk at a time. An error may come after any chunk."""
        ...

    def close(self) -> None:
        """May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder as a source found it, before any check of its path."""

    path: str
    is_folder: bool
    size: int
    packed: int | None
    executable: bool


def admit(candidates: Sequence[Candidate], caps: Caps, *, skip_receipts: bool) -> list[Entry]:
    """Check every path, find the package's root, and give the files below it.

    ``skip_receipts``: a folder may be an installed one, whose receipt is no part of the package; an archive may not.
    """
    if len(candidates) > caps.entries:
        raise refusal("too-many-entries", f"the package has more than {caps.entries} entries")
    twins = Twins()
    for candidate in candidates:
        fault = path_fault(candidate.path) or twins.add(candidate.path, is_folder=candidate.is_folder)
        if fault:
            raise refusal(fault.reason, fault.message, candidate.path)
    root = _root([c.path for c in candidates if not c.is_folder])
    entries = [_entry(c, root) for c in candidates if not c.is_folder and _below(c.path, root)]
    return [e for e in entries if not _is_bookkeeping(e.path, skip=skip_receipts)]


def _root(files: Sequence[str]) -> str:
    """What comes before each path of the package: empty, or the one top folder with its slash."""
    if MANIFEST_NAME in files:
        return ""
    tops = {path.partition("/")[0] for path in files if path.partition("/")[2] == MANIFEST_NAME}
    if len(tops) > 1:
        raise refusal("two-packages", f"there are several packages: {MANIFEST_NAME} is in more than one folder")
    if not tops:
        raise SourceUnreadable(f"there is no {MANIFEST_NAME} at the root or in one top folder")
    return f"{tops.pop()}/"


def _below(path: str, root: str) -> bool:
    if path.startswith(root):
        return True
    if path.partition("/")[0] == _APPLE_FOLDER:  # what the macOS packer puts beside every folder
        return False
    raise refusal("outside-root", f"the entry lies outside the package's folder {root}", path)


def _entry(candidate: Candidate, root: str) -> Entry:
    path = candidate.path.removeprefix(root)
    if is_archive_name(path):
        raise refusal("nested-archive", "the package has an archive in it", candidate.path)
    return Entry(
        path=path,
        size=candidate.size,
        packed=candidate.packed,
        program=candidate.executable and path.startswith(_PROGRAM_FOLDERS),
        origin=candidate.path,
    )


def _is_bookkeeping(path: str, *, skip: bool) -> bool:
    """Whether it is the store's own file. A look-alike, or one in an archive, is refused."""
    if folded(path) not in {RECEIPT_NAME, PENDING_NAME}:
        return False
    if skip and path in {RECEIPT_NAME, PENDING_NAME}:
        return True
    raise refusal("receipt", "the package brings a receipt of its own", path)
