"""The conformance suite itself: good streams pass, and each kind of bad one is found out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.stream import HostStream
from stellatune_plugins.testing.streams import StreamTraits, stream_checks


class Good(HostStream):
    """Bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._closed = False

    def _open(self) -> None:
        if self._closed:
            raise PluginFailure("io", "closed")

    def read(self, max_bytes: int) -> bytes:
        self._open()
        data = self._content[self._at : self._at + max_bytes]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._content)}.get(whence)
        if base is None or not 0 <= base + offset <= 2**63 - 1:
            raise PluginFailure("invalid-arg", "no")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        self._open()
        return self._at

    def size(self) -> int | None:
        self._open()
        return len(self._content)

    def close(self) -> None:
        self._closed = True


class LosesAByte(Good):
    """Skips byte 5000."""

    def read(self, max_bytes: int) -> bytes:
        data = super().read(max_bytes)
        self._at += self._at == 5000
        return data


class GivesOneTooMany(Good):
    """Of every read."""

    def read(self, max_bytes: int) -> bytes:
        return super().read(max_bytes + 1)


class MovesWhenAskedForNothing(Good):
    """By a byte."""

    def read(self, max_bytes: int) -> bytes:
        return super().read(max_bytes) if max_bytes else super().read(1)[:0]


class ForgetsToCount(Good):
    """Once."""

    def tell(self) -> int:
        return super().tell() - (self._at == 777)


class ExaggeratesItsSize(Good):
    """By one."""

    def size(self) -> int | None:
        return (super().size() or 0) + 1


class ReadsOnWhenClosed(Good):
    """Closing changes nothing."""

    def _open(self) -> None:
        """Is always open."""


class DiesOfASecondClose(Good):
    """It answers with an error."""

    def close(self) -> None:
        self._open()
        super().close()


class CountsTheEndFromTheStart(Good):
    """As if all seeks were forward."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return super().seek(offset if offset >= 0 else -offset, whence if whence != os.SEEK_END else 0)


class StopsAtTheEnd(Good):
    """Seeks are cut."""

    def seek(self, offset: int, whence: int = 0) -> int:
        super().seek(offset, whence)
        self._at = min(self._at, len(self._content))
        return self._at


class GoesBelowZero(Good):
    """Seeks before the start lead to it."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return super().seek(max(offset, 0) if whence == 0 else offset, whence)


class Maker:
    """Makes streams of a class."""

    traits = StreamTraits(seeks=True, sized=True)

    def __init__(self, kind: type[Good]) -> None:
        self._kind = kind

    @contextlib.contextmanager
    def serving(self, content: bytes) -> Iterator[HostStream]:
        yield self._kind(content)

    def silent(self) -> contextlib.AbstractContextManager[HostStream]:
        raise NotImplementedError


def failing(kind: type[Good]) -> set[str]:
    """Names of the checks that a kind fails."""
    failed = set()
    for check in stream_checks(Maker(kind)):
        try:
            check.run(Maker(kind))
        except (AssertionError, PluginFailure):
            failed.add(check.name)
    return failed


def test_a_good_stream_passes() -> None:
    """Nothing is found where nothing is wrong."""
    assert failing(Good) == set()


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (LosesAByte, "reads-everything"),
        (GivesOneTooMany, "never-gives-more-than-asked"),
        (MovesWhenAskedForNothing, "asking-for-nothing-moves-nothing"),
        (ForgetsToCount, "tell-counts-what-was-read"),
        (ExaggeratesItsSize, "size-is-the-truth-or-unknown"),
        (ReadsOnWhenClosed, "a-closed-stream-says-so"),
        (DiesOfASecondClose, "closing-twice-is-no-error"),
        (CountsTheEndFromTheStart, "seeks-from-start-current-and-end"),
        (StopsAtTheEnd, "beyond-the-end-is-nothing"),
        (GoesBelowZero, "before-the-start-is-refused"),
    ],
)
def test_a_bad_stream_is_found_out(kind: type[Good], check: str) -> None:
    """By the check that is about its fault, at least."""
    assert check in failing(kind)
