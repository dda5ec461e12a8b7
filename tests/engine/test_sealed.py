"""Bytes that cannot change after they were checked."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from stellatune_plugins.engine.sealed import Sealed, new_memfd, write_all


def test_sealed_bytes_cannot_be_changed_in_any_way() -> None:
    """Writing, growing, shrinking, mapping for writing and unsealing are all refused by the kernel."""
    with Sealed.of_bytes(b"checked") as sealed:
        with pytest.raises(PermissionError):
            os.pwrite(sealed.descriptor, b"C", 0)
        for size in (0, 100):
            with pytest.raises(PermissionError):
                os.ftruncate(sealed.descriptor, size)
        with pytest.raises(PermissionError):
            mmap.mmap(sealed.descriptor, sealed.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_WRITE)
        reopened = os.open(sealed.path, os.O_RDWR)
        try:
            with pytest.raises(PermissionError):
                os.pwrite(reopened, b"C", 0)
        finally:
            os.close(reopened)
        with sealed.view() as view:
            assert bytes(view) == b"checked"


def test_a_copy_does_not_follow_its_source(tmp_path: Path) -> None:
    """What a file becomes later, through a descriptor that was open before, does not reach the copy."""
    file = tmp_path / "file"
    file.write_bytes(b"headPAYLOAD")
    with file.open("r+b") as writer, file.open("rb") as reader, Sealed.of_file(reader.fileno(), 4, 7) as sealed:
        writer.write(b"xxxxxxxxxxx")
        writer.flush()
        with sealed.view() as view:
            assert bytes(view) == b"PAYLOAD"


def test_a_source_that_ends_early_gives_less(tmp_path: Path) -> None:
    """A file that is shorter than announced gives what there is, so that the size can be compared."""
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    with file.open("rb") as reader, Sealed.of_file(reader.fileno(), 2, 100) as sealed:
        assert sealed.size == 3


def test_memory_that_is_mapped_for_writing_cannot_be_sealed() -> None:
    """Bytes that somebody else could still change are refused, not trusted."""
    descriptor = new_memfd("test")
    write_all(descriptor, b"shared")
    with mmap.mmap(descriptor, 6), pytest.raises(OSError, match="busy"):
        Sealed(descriptor)


def test_closing_twice_is_closing_once() -> None:
    """A second close does nothing, and use after it is loud."""
    sealed = Sealed.of_bytes(b"")
    with sealed.view() as view:
        assert bytes(view) == b""
    sealed.close()
    sealed.close()
    with pytest.raises(ValueError, match="closed"):
        _ = sealed.descriptor
