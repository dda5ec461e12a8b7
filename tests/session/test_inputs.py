"""Which decoder is asked, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import InputUnreadable, PluginFailure
from stellatune_plugins.native.streams import FileByteStream
from stellatune_plugins.session.inputs import RankedDecoders, open_input, score_of


class _Decoder:
    """Opens or refuses, and remembers having been asked."""

    def __init__(self, name: str, scores: dict[str, int], wildcard: int | None, *, opens: bool) -> None:
        self.name, self._scores, self._wildcard, self._opens = name, scores, wildcard, opens
        self.read = b""

    def ext_scores(self) -> dict[str, int]:
        return self._scores

    def wildcard_score(self) -> int | None:
        return self._wildcard

    def open(self, stream: Any, ext_hint: str | None) -> Any:
        self.read = stream.read(4)
        if not self._opens:
            stream.close()
            raise PluginFailure("unsupported", f"{self.name} cannot")
        return stream


@pytest.fixture
def stream(tmp_path: Path) -> FileByteStream:
    """Four bytes."""
    (tmp_path / "x.bin").write_bytes(b"data")
    return FileByteStream(tmp_path / "x.bin")


def test_the_best_score_is_asked_first(stream: FileByteStream) -> None:
    """By extension, the wildcard for others, none where there is no wildcard."""
    low = _Decoder("low", {"flac": 10}, 5, opens=True)
    high = _Decoder("high", {"flac": 90}, None, opens=True)
    ranked = RankedDecoders([low, high])
    assert [d.name for d in ranked.ranked("flac")] == ["high", "low"]  # type: ignore[attr-defined]
    assert [d.name for d in ranked.ranked("xyz")] == ["low"]  # type: ignore[attr-defined]
    assert (ranked.ext_scores(), ranked.wildcard_score()) == ({"flac": 90}, 5)
    assert score_of(high, None) is None
    stream.close()


def test_the_next_one_gets_the_whole_stream(stream: FileByteStream) -> None:
    """A decoder that read, closed and refused does not spoil it for the next."""
    first = _Decoder("first", {}, 9, opens=False)
    second = _Decoder("second", {}, 5, opens=True)
    session: Any = RankedDecoders([first, second]).open(stream, "BIN")
    assert (first.read, second.read) == (b"data", b"data")
    assert session.tell() == 4
    session.close()
    with pytest.raises(ValueError, match="closed"):
        stream.tell()


def test_when_none_can_all_their_answers_are_there(stream: FileByteStream) -> None:
    """One error with what each said, and the stream is closed."""
    decoders = [_Decoder(name, {}, 1, opens=False) for name in ("a", "b")]
    with pytest.raises(InputUnreadable) as caught:
        RankedDecoders(decoders).open(stream, None)
    assert len(caught.value.details["decoders"]) == 2
    with pytest.raises(ValueError, match="closed"):
        stream.tell()


def test_when_nobody_takes_the_extension_it_is_unreadable(stream: FileByteStream, tmp_path: Path) -> None:
    """Said with the extension, and with the path where there is one."""
    with pytest.raises(InputUnreadable, match="xyz"):
        RankedDecoders([]).open(stream, "xyz")
    with pytest.raises(InputUnreadable, match=r"x\.bin"):
        open_input(tmp_path / "x.bin", RankedDecoders([]))
