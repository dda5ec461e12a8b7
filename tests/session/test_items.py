"""Tracks of a source: what they are called, what opens them, what is known of them."""

from __future__ import annotations

from typing import Any

import pytest
from host_fakes import MemoryStream

from stellatune_plugins.contract import ByteStream, SourceStream
from stellatune_plugins.errors import InputUnreadable, PluginFailure, UsageError
from stellatune_plugins.model import AudioTags, EncodedFormat, MediaMetadata, Picture
from stellatune_plugins.session import RenderOptions, plan_items
from stellatune_plugins.session.inputs import RankedDecoders
from stellatune_plugins.session.items import extension_of, is_track, label_of, merged, open_item
from stellatune_plugins.session.spool import SpooledStream


class Opened:
    """A stream with a hint, as sources give it."""

    def __init__(self, stream: ByteStream, hint: str | None, metadata: MediaMetadata | None = None) -> None:
        self._stream, self._hint, self._metadata = stream, hint, metadata

    def metadata(self) -> MediaMetadata | None:
        return self._metadata

    def ext_hint(self) -> str | None:
        return self._hint

    def stream(self) -> ByteStream:
        return self._stream


class Catalog:
    """Opens what it is given, and remembers how it was asked."""

    def __init__(self, opened: SourceStream) -> None:
        self.opened = opened
        self.asked: list[tuple[str, str]] = []

    def open_stream_json(self, track_json: str) -> SourceStream:
        self.asked.append(("json", track_json))
        return self.opened

    def open_uri(self, uri: str) -> SourceStream:
        self.asked.append(("uri", uri))
        return self.opened


class Decoder:
    """Takes note of what it is given."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens = opens
        self.given: list[tuple[Any, str | None]] = []

    def ext_scores(self) -> dict[str, int]:
        return {}

    def wildcard_score(self) -> int:
        return 1

    def open(self, stream: Any, ext_hint: str | None) -> Any:
        self.given.append((stream, ext_hint))
        if not self.opens:
            stream.close()
            raise PluginFailure("unsupported", "no")
        return stream


@pytest.mark.parametrize(
    ("item", "how", "hint"),
    [
        ('{"id": 1}', "json", "mp3"),
        (' {"id": 1}', "json", "mp3"),
        ('"id"', "json", "mp3"),
        ("song:1", "uri", "mp3"),
        ("http://music.example/a.FLAC?x=1.ogg", "uri", "mp3"),
    ],
)
def test_json_is_a_track_and_anything_else_a_uri(item: str, how: str, hint: str) -> None:
    """Each goes to its own function, and the source's hint counts more than the URI's ending."""
    catalog: Any = Catalog(Opened(MemoryStream(b"x"), hint))
    decoder = Decoder()
    open_item(catalog, item, decoder)
    assert catalog.asked == [(how, item)]
    assert decoder.given[0][1] == hint


def test_without_a_hint_the_uri_is_looked_at() -> None:
    """Its path alone."""
    assert extension_of("http://music.example/a.FLAC?x=1.ogg") == "flac"
    assert extension_of("song:1") is None
    assert extension_of('{"uri": "a.flac"}') is None
    assert extension_of("http://[broken/a.flac") is None


def test_a_stream_that_only_goes_forward_is_kept() -> None:
    """So that a second decoder finds its start again."""
    stream = MemoryStream(b"x", seekable=False)
    catalog: Any = Catalog(Opened(stream, None))
    refuses, opens = Decoder(opens=False), Decoder()
    session: Any = open_item(catalog, "song:1", RankedDecoders([refuses, opens]))
    assert isinstance(session._stream, SpooledStream)
    session.close()
    assert stream.closes == 1


def test_what_no_decoder_reads_is_named_and_closed() -> None:
    """With the track's name."""
    stream = MemoryStream(b"x")
    catalog: Any = Catalog(Opened(stream, None))
    with pytest.raises(InputUnreadable, match="A song"):
        open_item(catalog, '{"title": "A song"}', RankedDecoders([Decoder(opens=False), Decoder(opens=False)]))
    assert stream.closes


def test_labels() -> None:
    """A title where there is one, else what names the track."""
    assert label_of('{"title": "A song", "id": "7"}') == "A song"
    assert label_of('{"id": 7}') == "7"
    assert label_of('"7"') == "7"
    assert label_of("song:7") == "song:7"
    assert label_of("{broken") == "{broken"
    assert label_of("{" * 100_000).startswith("{")
    assert not is_track("song:{}")


def test_the_files_own_tags_come_first() -> None:
    """The source fills the gaps."""
    own = MediaMetadata(tags=AudioTags(title="own"), format=EncodedFormat("flac"), extras=(("a", 1),))
    other = MediaMetadata(
        tags=AudioTags(title="other", artists=("x",), year=1999),
        format=EncodedFormat("mp3"),
        extras=(("a", 2), ("b", 3)),
        pictures=(Picture("image/png", b"x"),),
    )
    both = merged(own, other)
    assert (both.tags.title, both.tags.artists, both.tags.year) == ("own", ("x",), 1999)
    assert both.format.codec == "flac"
    assert both.extras == (("a", 1), ("b", 3))
    assert len(both.pictures) == 1
    assert merged(MediaMetadata(), other) == other


def test_one_track_goes_to_the_file(tmp_path: Any) -> None:
    """Several into a folder, under numbers and safe names."""
    (job,) = plan_items(["song:1"], tmp_path / "one.flac").jobs
    assert (job.input, job.output, job.item) == ("song:1", str(tmp_path / "one.flac"), "song:1")
    items = ['{"title": "../../etc/passwd"}', "http://music.example/b:c?d", '{"title": "..."}', "ü" * 500]
    jobs = plan_items(items, tmp_path / "out", options=RenderOptions(format="wav")).jobs
    names = [job.output.removeprefix(f"{tmp_path}/out/") for job in jobs]
    assert names == ["01 passwd.wav", "02 b_c_d.wav", "03 track.wav", f"04 {'ü' * 80}.wav"]


def test_what_cannot_be_planned(tmp_path: Any) -> None:
    """Nothing, an endless item, several into a file."""
    (tmp_path / "file").write_text("")
    for items, output in (([], "x"), (["x" * 100_000], "x"), (["a", "b"], tmp_path / "file")):
        with pytest.raises(UsageError):
            plan_items(items, output)
