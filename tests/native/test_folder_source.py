"""The local folder as a source, on files that real encoders made."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.errors import ConfigRejected, PluginFailure
from stellatune_plugins.model import AudioTags, ConfigUpdateMode, Frames, MediaMetadata, Picture
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.native.av_decoder import AvDecoder
from stellatune_plugins.native.folder_source import FolderCatalog
from stellatune_plugins.native.tag_writer import write_tags

FORMATS = {"flac": {"format": "FLAC"}, "ogg": {"format": "OGG", "subtype": "VORBIS"},
           "opus": {"format": "OGG", "subtype": "OPUS"}, "wav": {"format": "WAV"}}  # fmt: skip


def song(path: Path, cover: bytes | None = None, **tags: Any) -> Path:
    """A short file with tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).uniform(-0.1, 0.1, (12_000, 2))
    soundfile.write(path, noise, 48_000, **FORMATS[path.suffix[1:]])
    pictures = (Picture("image/png", cover),) if cover else ()
    with path.open("r+b") as file:
        write_tags(file, path.suffix[1:], MediaMetadata(tags=AudioTags(**tags), pictures=pictures))
    return path


@pytest.fixture
def music(tmp_path: Path, audio: Any) -> Path:
    """Two albums, a compilation and a stray file."""
    root = tmp_path / "music"
    for number, title in enumerate(("Hjärtat", "Ängen", "Øyeblikk"), 1):
        song(root / "Björk Ång" / "Första" / f"{number:02}.flac", audio.png() if number == 1 else None,
             title=title, album="Första", artists=("Björk Ång",), track_number=number, year=1999)  # fmt: skip
    song(root / "Björk Ång" / "Andra" / "a.ogg", title="Only", album="Andra", artists=("Björk Ång",), year=2005)
    for number, artist in enumerate(("One", "Two"), 1):
        song(root / "Mix #1 100%" / f"{number}.opus", title=f"Piece {number}", album="Mix", artists=(artist,),
             track_number=number)  # fmt: skip
    (root / "Mix #1 100%" / "Cover.JPG").write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 60)
    song(root / "stray file.wav")
    (root / "broken.mp3").write_bytes(b"no music at all" * 100)
    (root / "secret.txt").write_text("not for sources")
    return root


@pytest.fixture
def catalog(music: Path) -> Generator[FolderCatalog]:
    """A catalogue of it, without a watcher."""
    made = FolderCatalog()
    made.apply_config(json.dumps({"folder": str(music), "watch": False}))
    yield made
    made.close()


def ask(catalog: FolderCatalog, **request: Any) -> dict[str, Any]:
    """The answer to a request."""
    answer: dict[str, Any] = json.loads(catalog.list_items_json(json.dumps(request)))
    return answer


def titles(catalog: FolderCatalog, item_id: str | None) -> list[str]:
    """What stands below an id."""
    return [item["title"] for item in ask(catalog, action="browse", id=item_id)["items"]]


def find(catalog: FolderCatalog, query: str) -> dict[str, Any]:
    """The first hit."""
    item: dict[str, Any] = ask(catalog, action="search", query=query)["items"][0]
    return item


def read_all(stream: Any) -> bytes:
    """All of a stream, which is closed."""
    data = b""
    while more := stream.read(70_000):
        data += more
    stream.close()
    return data


def test_browsing_by_artist_and_album(catalog: FolderCatalog) -> None:
    """From the roots to the tracks of an album, in their order, albums by year."""
    roots = ask(catalog, action="browse")["items"]
    assert [root["id"] for root in roots] == ["artists", "albums", "folders", "tracks"]
    artists = ask(catalog, action="browse", id="artists")["items"]
    assert [artist["title"] for artist in artists] == ["Björk Ång", "One", "Two", "Unknown artist", "Various artists"]
    albums = ask(catalog, action="browse", id=artists[0]["id"])["items"]
    assert [(album["title"], album["year"]) for album in albums] == [("Första", 1999), ("Andra", 2005)]
    tracks = ask(catalog, action="browse", id=albums[0]["id"])["items"]
    assert [(t["title"], t["track_number"], t["artist"]) for t in tracks] == [
        ("Hjärtat", 1, "Björk Ång"), ("Ängen", 2, "Björk Ång"), ("Øyeblikk", 3, "Björk Ång")]  # fmt: skip
    assert [track["duration_ms"] for track in tracks] == [250, 250, 250]


def test_a_compilation_without_album_artist_is_one_album(catalog: FolderCatalog) -> None:
    """Its folder holds it together, and each of its artists shows it."""
    album = find(catalog, "mix")
    assert (album["kind"], album["title"], album["artist"]) == ("album", "Mix", "Various artists")
    assert titles(catalog, album["id"]) == ["Piece 1", "Piece 2"]
    artists = {item["title"]: item["id"] for item in ask(catalog, action="browse", id="artists")["items"]}
    assert titles(catalog, artists["Two"]) == ["Mix"]


def test_browsing_by_folder(catalog: FolderCatalog) -> None:
    """Folders first, names with any character; a file without tags goes by its name."""
    assert titles(catalog, "folders") == ["Björk Ång", "Mix #1 100%", "stray file"]
    folders = {item["title"]: item["id"] for item in ask(catalog, action="browse", id="folders")["items"]}
    assert titles(catalog, folders["Björk Ång"]) == ["Andra", "Första"]
    assert titles(catalog, folders["Mix #1 100%"]) == ["Piece 1", "Piece 2"]


@pytest.mark.parametrize("query", ["bjork angen", "BJÖRK ÄNGEN", "Ängen första", "ngen ång"])
def test_search_minds_neither_case_nor_accents(catalog: FolderCatalog, query: str) -> None:
    """Every word has to be there, in title, artist or album."""
    answer = ask(catalog, action="search", query=query)
    assert [item["title"] for item in answer["items"]] == ["Ängen"]


def test_search_finds_artists_and_albums_before_tracks(catalog: FolderCatalog) -> None:
    """An exact title leads among the tracks; an empty query finds nothing."""
    kinds = [item["kind"] for item in ask(catalog, action="search", query="bjork")["items"]]
    assert kinds == ["artist", "album", "album", "track", "track", "track", "track"]
    assert find(catalog, "oyeblikk")["title"] == "Øyeblikk"
    assert ask(catalog, action="search", query="  ")["items"] == []


def test_pages_join_to_the_whole(catalog: FolderCatalog) -> None:
    """``next_offset`` leads on to the end."""
    found: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = ask(catalog, action="browse", id="tracks", offset=offset, limit=3)
        assert answer["total"] == 7
        found += [item["id"] for item in answer["items"]]
        offset = answer.get("next_offset")
    assert len(set(found)) == 7


def test_broken_files_are_counted(catalog: FolderCatalog) -> None:
    """What looks like music and is none takes nothing else with it."""
    assert ask(catalog, action="browse")["scan"] == {"complete": True, "found": 8, "skipped": 1}


def test_streams_are_the_files(catalog: FolderCatalog, music: Path) -> None:
    """By the track's description and by its URI: the bytes, seekable, with tags; and they decode."""
    track = find(catalog, "hjartat")
    path = music / "Björk Ång" / "Första" / "01.flac"
    opened = catalog.open_stream_json(json.dumps(track["track"]))
    metadata = opened.metadata()
    assert metadata is not None
    assert metadata.tags.title == "Hjärtat"
    assert opened.ext_hint() == "flac"
    stream = opened.stream()
    assert stream.size() == path.stat().st_size
    stream.seek(100)
    assert stream.read(10) == path.read_bytes()[100:110]
    stream.close()
    assert read_all(catalog.open_uri(track["uri"]).stream()) == path.read_bytes()
    session = AvDecoder().open(catalog.open_uri(track["uri"]).stream(), "flac")
    assert len(session.read_pcm(Frames(12_000)).block) == 12_000
    session.close()


def test_covers_beside_and_inside(catalog: FolderCatalog, audio: Any) -> None:
    """A picture in the folder first, else the one in the file; what has none says so."""
    inside = find(catalog, "forsta")
    answer = ask(catalog, action="cover", id=inside["id"])
    assert answer == {"uri": inside["cover"], "mime": "image/png"}
    assert read_all(catalog.open_uri(answer["uri"]).stream()) == audio.png()
    beside = ask(catalog, action="cover", id=find(catalog, "piece 2")["id"])
    assert beside["mime"] == "image/jpeg"
    assert read_all(catalog.open_uri(beside["uri"]).stream()).startswith(b"\xff\xd8\xff")
    with pytest.raises(PluginFailure, match="no cover"):
        ask(catalog, action="cover", id=find(catalog, "only")["id"])


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file:///etc/passwd#cover",
        "{root}/../outside.flac",
        "{root}/%2e%2e/outside.flac",
        "{root}/link.flac",
        "{root}/link.flac#cover",
        "{root}/linked/outside.flac",
        "{root}/secret.txt",
        "{root}/pipe.mp3",
        "{root}",
        "{root}/",
        "{root}x/outside.flac",
        "{root}/a%00b.flac",
        "{root}/a%2fb.flac",
        "file://elsewhere{path}/stray%20file.wav",
        "http://127.0.0.1/stray.wav",
        "../outside.flac",
        "",
    ],
)
def test_nothing_leads_out_of_the_folder(catalog: FolderCatalog, music: Path, uri: str) -> None:
    """Links, dots, pipes, other hosts, other files: refused, whatever the spelling."""
    outside = song(music.parent / "outside.flac", title="Outside")
    (music / "link.flac").symlink_to(outside)
    (music / "linked").symlink_to(music.parent)
    os.mkfifo(music / "pipe.mp3")
    with pytest.raises(PluginFailure) as refused:
        catalog.open_uri(uri.format(root=music.as_uri(), path=music))
    assert refused.value.case in {"denied", "invalid-arg", "not-found"}


@pytest.mark.parametrize("track", ["track:../outside.flac", "track:%2e%2e/outside.flac", "track:link.flac", "track:",
                                   "folder:x", "track:a//b.flac", "track:linked/outside.flac"])  # fmt: skip
def test_made_up_tracks_lead_nowhere(catalog: FolderCatalog, music: Path, track: str) -> None:
    """The same through a track's description; and links are not listed."""
    outside = song(music.parent / "outside.flac", title="Outside")
    (music / "link.flac").symlink_to(outside)
    (music / "linked").symlink_to(music.parent)
    with pytest.raises(PluginFailure):
        catalog.open_stream_json(json.dumps({"id": track}))
    assert "Outside" not in titles(catalog, "tracks")


def test_names_that_are_no_text_can_be_opened(music: Path, catalog: FolderCatalog) -> None:
    """A name in some old encoding is browsed and opened like any other."""
    catalog.close()
    odd = os.fsencode(music) + b"/caf\xe9.flac"
    Path(os.fsdecode(odd)).write_bytes(song(music / "plain.flac", title="Odd").read_bytes())
    (music / "plain.flac").unlink()
    catalog.apply_config(json.dumps({"folder": str(music), "watch": False, "wait_s": 9}))
    track = find(catalog, "odd")
    assert read_all(catalog.open_uri(track["uri"]).stream()) == Path(os.fsdecode(odd)).read_bytes()
    assert read_all(catalog.open_stream_json(json.dumps(track["track"])).stream())


def _eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("config", [{"watch": True}, {"watch": False, "rescan_s": 1}])
def test_changes_are_noticed(music: Path, config: dict[str, Any]) -> None:
    """New, changed and removed files, reported by the system or found by looking again."""
    catalog = FolderCatalog()
    catalog.apply_config(json.dumps({"folder": str(music), **config}))
    try:
        assert titles(catalog, "tracks")
        if config["watch"]:  # the watch must stand before there is something to see
            assert catalog._library is not None
            library = catalog._library
            assert _eventually(lambda: library.index(1)[1].watching)
        song(music / "new" / "n.flac", title="Brand new")
        assert _eventually(lambda: "Brand new" in titles(catalog, "tracks"))
        song(music / "new" / "n.flac", title="Renamed")
        assert _eventually(lambda: "Renamed" in titles(catalog, "tracks"))
        (music / "new" / "n.flac").unlink()
        assert _eventually(lambda: "Renamed" not in titles(catalog, "tracks"))
    finally:
        catalog.close()


def test_a_request_waits_no_longer_than_configured(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder so large that the scan takes long answers with what is known, and says that there is more."""
    from stellatune_plugins.native import music_library  # noqa: PLC0415

    first = music_library._read

    def slow(folder: Any, place: Any) -> Any:
        time.sleep(0.3)
        return first(folder, place)

    monkeypatch.setattr(music_library, "_read", slow)
    catalog = FolderCatalog()
    catalog.apply_config(json.dumps({"folder": str(music), "watch": False, "wait_s": 0.05}))
    try:
        answer = ask(catalog, action="browse", id="tracks")
        assert answer["scan"]["complete"] is False
        assert _eventually(lambda: 0 < ask(catalog, action="browse", id="tracks")["total"] < 7)
        assert _eventually(lambda: bool(ask(catalog, action="browse", id="tracks")["total"] == 7))
    finally:
        started = time.monotonic()
        catalog.close()
        assert time.monotonic() - started < 5


def test_a_catalogue_that_is_forgotten_says_so(music: Path) -> None:
    """Its threads end all the same."""
    before = threading.active_count()
    catalog = FolderCatalog()
    catalog.apply_config(json.dumps({"folder": str(music)}))
    with pytest.warns(ResourceWarning, match="never closed"):
        del catalog  # nobody else holds it, so it ends here
    assert threading.active_count() == before


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    """No folder, a file, nothing configured: an error with the reason."""
    catalog = FolderCatalog()
    with pytest.raises(PluginFailure, match="no music folder is configured"):
        ask(catalog, action="browse")
    (tmp_path / "file").write_text("x")
    for path, case in ((tmp_path / "missing", "not-found"), (tmp_path / "file", "denied")):
        catalog.apply_config(json.dumps({"folder": str(path)}))
        with pytest.raises(PluginFailure) as failure:
            ask(catalog, action="browse", id="tracks")
        assert failure.value.case == case
    catalog.close()


@pytest.mark.parametrize(
    "config", ['{"folder": 1}', '{"folder": "relative"}', '{"floder": "/x"}', "[]", "no", '{"wait_s": -1}']
)
def test_configurations_that_are_refused(config: str) -> None:
    """Wrong types, relative paths, unknown keys; the plan says so beforehand."""
    catalog = FolderCatalog()
    assert catalog.plan_config(config).mode is ConfigUpdateMode.REJECT
    with pytest.raises(ConfigRejected):
        catalog.apply_config(config)


@pytest.mark.parametrize(
    "request_json", ["", "[]", '{"action": "delete"}', '{"action": "browse", "offset": -1}', "\ud800"]
)
def test_requests_that_are_none(catalog: FolderCatalog, request_json: str) -> None:
    """Refused as invalid arguments."""
    with pytest.raises(PluginFailure) as failure:
        catalog.list_items_json(request_json)
    assert failure.value.case == "invalid-arg"


@pytest.mark.parametrize("item_id", ["nothing", "album:00", "folder:missing", "artist:"])
def test_ids_that_are_not_there(catalog: FolderCatalog, item_id: str) -> None:
    """Not found, by name."""
    with pytest.raises(PluginFailure) as failure:
        ask(catalog, action="browse", id=item_id)
    assert failure.value.case == "not-found"


def test_it_is_found_by_its_entry_point(music: Path) -> None:
    """The runtime serves it under its id."""
    catalog = NativeRuntime().source("dev.stellatune.native.folder-source", "folder").create()
    catalog.apply_config(json.dumps({"folder": str(music), "watch": False}))
    assert json.loads(catalog.list_items_json('{"action": "browse", "id": "albums"}'))["total"] == 4
    catalog.close()
