"""The OpenSubsonic source against a server that says whatever a test has it say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from catalog_stage import ScriptedWeb, open_catalog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import ConfigRejected, PluginFailure
from stellatune_plugins.executor import WasmSourceCatalog
from stellatune_plugins.model import ConfigUpdateMode

URL = "http://127.0.0.1:4533/music"
CONFIG = {"server_url": URL, "username": "ann", "password": "geheim"}
OK: dict[str, Any] = {"status": "ok", "version": "1.16.1"}
SONG = {"id": "s1", "title": "Song", "album": "Album", "artist": "Artist", "track": 3, "discNumber": 1, "year": 1999,
        "genre": "Rock", "duration": 61, "suffix": "FLAC", "bitRate": 900, "samplingRate": 44100, "channelCount": 2,
        "coverArt": "al-1", "isDir": False}  # fmt: skip


def body(**content: Any) -> bytes:
    """An answer."""
    return json.dumps({"subsonic-response": OK | content}).encode()


def failed(code: Any, message: Any = "so", **more: Any) -> bytes:
    """An answer that is an error."""
    answer = {"status": "failed", "version": "1.16.1", "error": {"code": code, "message": message}} | more
    return json.dumps({"subsonic-response": answer}).encode()


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """One engine."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def stage(
    engine: WasmEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WasmSourceCatalog, ScriptedWeb]]:
    """One catalogue for all tests, on a web that each rewrites."""
    web = ScriptedWeb(lambda path, query: body())
    with open_catalog(tmp_path_factory.mktemp("home"), engine, web.services, CONFIG) as catalog:
        yield catalog, web


@pytest.fixture
def catalog(stage: tuple[WasmSourceCatalog, ScriptedWeb]) -> WasmSourceCatalog:
    """The catalogue, configured as usual."""
    stage[0].apply_config(json.dumps(CONFIG))
    stage[1].urls.clear()
    stage[1].opened.clear()
    stage[1].ranges, stage[1].answer = True, always(body())
    return stage[0]


@pytest.fixture
def web(stage: tuple[WasmSourceCatalog, ScriptedWeb], catalog: WasmSourceCatalog) -> ScriptedWeb:
    """Its web."""
    return stage[1]


def ask(catalog: WasmSourceCatalog, **request: Any) -> dict[str, Any]:
    """The answer to a request."""
    answer: dict[str, Any] = json.loads(catalog.list_items_json(json.dumps(request)))
    return answer


def always(data: bytes) -> Callable[[str, dict[str, str]], bytes]:
    """A server with one answer."""
    return lambda path, query: data


def query_of(url: str) -> dict[str, str]:
    """A URL's parameters."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, keep_blank_values=True))


# --- who asks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password", ["", "a", "geheim", "pässwörd 歌", *("x" * n for n in (20, 23, 24, 31, 32, 87, 88, 96, 200))]
)
def test_tokens_are_the_md5_of_password_and_salt(catalog: WasmSourceCatalog, web: ScriptedWeb, password: str) -> None:
    """For passwords of every length round the edges of MD5's blocks; the password is nowhere in the URL."""
    catalog.apply_config(json.dumps(CONFIG | {"password": password}))
    web.answer = always(body())
    ask(catalog, action="browse", id="artists")
    query = query_of(web.urls[0])
    assert query["t"] == hashlib.md5((password + query["s"]).encode()).hexdigest()  # noqa: S324 - the API's own
    assert re.fullmatch("[0-9a-f]{32}", query["s"])
    assert {key: query[key] for key in ("u", "v", "c", "f")} == {
        "u": "ann",
        "v": "1.13.0",
        "c": "stellatune",
        "f": "json",
    }
    assert query.keys() == {"t", "s", "u", "v", "c", "f"}
    assert web.urls[0].startswith(f"{URL}/rest/getArtists.view?")


def test_no_salt_is_used_twice(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Each request has its own."""
    web.answer = always(body())
    for _ in range(20):
        ask(catalog, action="browse", id="artists")
    assert len({query_of(url)["s"] for url in web.urls}) == 20


def test_passwords_and_keys_where_they_are_asked_for(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Hexadecimal for old servers, a key for new ones; nothing of the other kinds beside it."""
    web.answer = always(body())
    catalog.apply_config(json.dumps(CONFIG | {"auth": "password", "password": "ge&heim ü"}))
    ask(catalog, action="browse", id="artists")
    query = query_of(web.urls[-1])
    assert bytes.fromhex(query["p"].removeprefix("enc:")).decode() == "ge&heim ü"
    assert query.keys() == {"u", "p", "v", "c", "f"}
    catalog.apply_config(json.dumps(CONFIG | {"auth": "api-key", "api_key": "k+y/1"}))
    ask(catalog, action="browse", id="artists")
    query = query_of(web.urls[-1])
    assert query["apiKey"] == "k+y/1"
    assert query.keys() == {"apiKey", "v", "c", "f"}


def test_names_are_encoded(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """A user's name and an id cannot add parameters of their own."""
    catalog.apply_config(json.dumps(CONFIG | {"username": "a&p=x#?/ é"}))
    web.answer = always(body())
    ask(catalog, action="browse", id="album:1&u=root #%")
    query = query_of(web.urls[0])
    assert (query["u"], query["id"]) == ("a&p=x#?/ é", "1&u=root #%")


@pytest.mark.parametrize(
    "config",
    ["[]", "no", '{"server_url": 1}', '{"server_url": "ftp://x"}', '{"server_url": "http://"}', '{"auth": "none"}',
     '{"server_url": "http://u:p@x"}', '{"server_url": "http://x/?a=1"}', '{"server_url": "http://x y"}',
     '{"server_url": "http:///rest"}', '{"username": "a\\nb"}', json.dumps({"password": "x" * 600})],
)  # fmt: skip
def test_configurations_that_are_refused(catalog: WasmSourceCatalog, config: str) -> None:
    """Refused with the key's name, by plan and by application; what was there stays."""
    assert catalog.plan_config(config).mode is ConfigUpdateMode.REJECT
    with pytest.raises(ConfigRejected) as refused:
        catalog.apply_config(config)
    assert "geheim" not in str(refused.value)
    assert ask(catalog, action="browse", id="artists")["items"] == []


@pytest.mark.parametrize("config", [{}, {"server_url": URL}, {"server_url": URL, "auth": "api-key"}])
def test_what_is_not_configured_is_named(catalog: WasmSourceCatalog, web: ScriptedWeb, config: dict[str, str]) -> None:
    """Nothing is asked of anybody before there is a server and somebody to be."""
    catalog.apply_config(json.dumps(config))
    for attempt in (
        lambda: ask(catalog, action="browse", id="artists"),
        lambda: catalog.open_uri("opensubsonic:track/1"),
        lambda: catalog.open_stream_json('{"id": "1"}'),
    ):
        with pytest.raises(PluginFailure, match="is not configured"):
            attempt()
    assert web.urls == []


def test_state_has_no_secrets(catalog: WasmSourceCatalog) -> None:
    """There is none at all."""
    assert catalog.export_state() is None


# --- lists ----------------------------------------------------------------------------------------------------------


def test_the_roots_need_no_server(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """They are always the same."""
    answer = ask(catalog, action="browse")
    assert [item["id"] for item in answer["items"]] == ["artists", "albums", "newest", "playlists", "genres"]
    assert web.urls == []


def test_artists_and_their_albums(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Artists of all letters in one list; ids may be numbers, names may have escapes."""
    web.answer = always(
        rb'{"subsonic-response": {"status": "ok", "artists": {"index": [{"name": "A", "artist": [{"id": 7,'
        rb' "name": "\u00c5ngstr\u00f6m \ud834\udd1e \"x\" \ud800"}]},'
        rb' {"name": "B", "artist": {"id": "b", "name": "B"}}]}}}'
    )
    answer = ask(catalog, action="browse", id="artists")
    assert answer == {
        "items": [
            {"id": "artist:7", "kind": "artist", "title": 'Ångström \U0001d11e "x" \ufffd'},
            {"id": "artist:b", "kind": "artist", "title": "B"},
        ],
        "total": 2,
    }
    web.answer = always(
        body(
            artist={
                "id": "7",
                "name": "A",
                "album": [
                    {
                        "id": "a1",
                        "name": "First",
                        "artist": "A",
                        "year": 1990,
                        "duration": 100,
                        "songCount": 9,
                        "coverArt": "c",
                    }
                ],
            }
        )
    )
    assert ask(catalog, action="browse", id="artist:7")["items"] == [
        {"id": "album:a1", "kind": "album", "title": "First", "artist": "A", "year": 1990, "duration_ms": 100_000,
         "track_count": 9, "cover": "opensubsonic:cover/c"}]  # fmt: skip
    assert query_of(web.urls[-1])["id"] == "7"


def test_tracks_say_everything_that_opening_needs(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """And nothing about who asked."""
    web.answer = always(body(album={"song": [SONG]}))
    (item,) = ask(catalog, action="browse", id="album:1")["items"]
    assert {key: item[key] for key in item if key != "track"} == {
        "id": "track:s1", "kind": "track", "title": "Song", "artist": "Artist", "album": "Album", "duration_ms": 61_000,
        "track_number": 3, "disc_number": 1, "uri": "opensubsonic:track/s1",
        "cover": "opensubsonic:cover/al-1"}  # fmt: skip
    assert item["track"]["id"] == "s1"
    assert not re.search(r"geheim|[0-9a-f]{32}|127", json.dumps(item))


def test_albums_are_cut_into_pages_by_the_server(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Offset and size go there; a full page has a next one."""

    def answer(path: str, query: dict[str, str]) -> bytes:
        first, size = int(query["offset"]), int(query["size"])
        albums = [{"id": str(n), "name": f"Album {n}"} for n in range(250)][first : first + size]
        return body(albumList2={"album": albums})

    web.answer = answer
    found: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = ask(catalog, action="browse", id="albums", offset=offset, limit=100)
        found += [item["title"] for item in page["items"]]
        offset = page.get("next_offset")
    assert found == [f"Album {n}" for n in range(250)]
    assert query_of(web.urls[0])["type"] == "alphabeticalByName"
    ask(catalog, action="browse", id="newest", limit=10_000)
    assert (query_of(web.urls[-1])["type"], query_of(web.urls[-1])["size"]) == ("newest", "500")


def test_long_lists_are_cut_here(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Playlists and their entries come whole from the server."""
    web.answer = always(body(playlist={"entry": [SONG | {"id": f"s{n}"} for n in range(25)]}))
    page = ask(catalog, action="browse", id="playlist:p", offset=10, limit=10)
    assert [item["id"] for item in page["items"]] == [f"track:s{n}" for n in range(10, 20)]
    assert (page["total"], page["next_offset"]) == (25, 20)
    assert "next_offset" not in ask(catalog, action="browse", id="playlist:p", offset=20, limit=10)


def test_genres_lead_to_albums(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """A genre's id is its name."""
    web.answer = always(body(genres={"genre": [{"value": "R&B", "songCount": 2}]}))
    (genre,) = ask(catalog, action="browse", id="genres")["items"]
    assert genre == {"id": "genre:R&B", "kind": "folder", "title": "R&B"}
    web.answer = always(body(albumList2={"album": [{"id": "1", "name": "One"}]}))
    assert ask(catalog, action="browse", id=genre["id"])["items"][0]["title"] == "One"
    assert query_of(web.urls[-1])["genre"] == "R&B"


def test_search_pages_by_tracks(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Artists and albums lead the first page and never come again; every track comes once."""

    def answer(path: str, query: dict[str, str]) -> bytes:
        first, count = int(query["songOffset"]), int(query["songCount"])
        songs = [SONG | {"id": f"s{n}"} for n in range(30)][first : first + count]
        artists = [{"id": f"a{n}", "name": "A"} for n in range(int(query["artistCount"]))][:1]
        return body(searchResult3={"artist": artists, "album": artists[:1], "song": songs})

    web.answer = answer
    found: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = ask(catalog, action="search", query="x y", offset=offset, limit=12)
        found += [item["id"] for item in page["items"]]
        assert len(page["items"]) <= 12
        offset = page.get("next_offset")
    assert found == ["artist:a0", "album:a0", *(f"track:s{n}" for n in range(30))]
    assert ask(catalog, action="search", query="")["items"] == []


@pytest.mark.parametrize("request_json", ["", "[]", '{"action": true}', "{}", '{"action": "cover"}'])
def test_requests_that_are_none(catalog: WasmSourceCatalog, request_json: str) -> None:
    """Refused as invalid arguments."""
    with pytest.raises(PluginFailure) as failure:
        catalog.list_items_json(request_json)
    assert failure.value.case == "invalid-arg"


@pytest.mark.parametrize("item_id", ["x", "artist:", "track:1", "ARTISTS"])
def test_ids_that_nobody_gave(catalog: WasmSourceCatalog, web: ScriptedWeb, item_id: str) -> None:
    """Not found, without asking."""
    with pytest.raises(PluginFailure) as failure:
        ask(catalog, action="browse", id=item_id)
    assert (failure.value.case, web.urls) == ("not-found", [])


# --- errors ---------------------------------------------------------------------------------------------------------

CASES = {0: "io", 10: "invalid-arg", 20: "unsupported", 30: "unsupported", 40: "denied", 41: "denied", 42: "denied",
         43: "invalid-arg", 44: "denied", 50: "denied", 60: "denied", 70: "not-found", 99: "io"}  # fmt: skip


@pytest.mark.parametrize(("code", "case"), CASES.items())
def test_errors_of_the_api_have_their_case(catalog: WasmSourceCatalog, web: ScriptedWeb, code: int, case: str) -> None:
    """In lists and, as documents with status 200, in streams."""
    web.answer = always(failed(code, "so it is"))
    for attempt in (
        lambda: ask(catalog, action="browse", id="artists"),
        lambda: catalog.open_stream_json('{"id": "1"}'),
    ):
        with pytest.raises(PluginFailure, match=f"so it is .code {code}.") as failure:
            attempt()
        assert failure.value.case == case
    assert all(stream.closed for stream in web.opened)


def test_a_server_without_tokens_is_told_of(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """The error says what to configure; the password is not sent just because the server would like it."""
    web.answer = always(failed(10, "A required parameter is missing.", version="1.12.0"))
    with pytest.raises(PluginFailure, match='set auth to "password"') as failure:
        ask(catalog, action="browse", id="artists")
    assert failure.value.case == "denied"
    assert all("p" not in query_of(url) for url in web.urls)


def test_errors_have_no_credentials(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Neither what the host says of a URL nor what a server repeats."""

    def answer(path: str, query: dict[str, str]) -> bytes:
        raise PluginFailure("timeout", f"reading {web.urls[-1]} took too long (http://x/?p=geheim)")

    web.answer = answer
    for attempt in (
        lambda: ask(catalog, action="browse", id="artists"),
        lambda: catalog.open_stream_json('{"id": "1"}'),
        lambda: catalog.open_uri("opensubsonic:cover/1"),
    ):
        with pytest.raises(PluginFailure, match="took too long") as failure:
            attempt()
        assert failure.value.case == "timeout"
        assert not re.search(r"geheim|[0-9a-f]{32}|\?", str(failure.value))
    web.answer = always(failed(40, "geheim is wrong"))
    with pytest.raises(PluginFailure) as failure:
        ask(catalog, action="browse", id="artists")
    assert "geheim" not in str(failure.value)
    web.answer = always(failed(40, "\x1b[31mred\u202e"))
    with pytest.raises(PluginFailure) as failure:
        ask(catalog, action="browse", id="artists")
    assert "?[31mred" in str(failure.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"[]", b"{}", b'{"subsonic-response": []}', b'{"subsonic-response": {}}', b"null", b'"x"',
     b"\xff\xfe", b'{"subsonic-response": {"status": "ok"}', b"[" * 100_000, b'{"a":' * 50_000, body() + b"x"],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(catalog: WasmSourceCatalog, web: ScriptedWeb, data: bytes) -> None:
    """Other servers' pages, broken and bottomless documents."""
    web.answer = always(data)
    with pytest.raises(PluginFailure) as failure:
        ask(catalog, action="browse", id="artists")
    assert failure.value.case == "io"


@pytest.mark.parametrize(
    "content",
    [{}, {"artists": []}, {"artists": {"index": 5}}, {"artists": {"index": [[], 5, None, {"artist": "x"}]}},
     {"artists": {"index": [{"artist": [{}, {"id": ""}, {"id": []}, {"id": None, "name": "x"}, 7]}]}}],
)  # fmt: skip
def test_answers_of_another_shape_are_empty(
    catalog: WasmSourceCatalog, web: ScriptedWeb, content: dict[str, Any]
) -> None:
    """What is not as it should be counts as not there."""
    web.answer = always(body(**content))
    assert ask(catalog, action="browse", id="artists")["items"] == []


def test_endless_answers_are_cut_off(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """More than 32 MiB is no list; the plugin lives on."""
    web.answer = always(b" " * (33 << 20))
    with pytest.raises(PluginFailure, match="too long"):
        ask(catalog, action="browse", id="artists")
    web.answer = always(body())
    assert ask(catalog, action="browse", id="artists")["items"] == []


def test_items_without_end_are_refused(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Texts that grow by escaping make no answer that the host would end the plugin for."""
    long = "\x01" * 4000
    songs = [SONG | {"id": str(n), "title": long, "artist": long, "album": long} for n in range(300)]
    web.answer = always(body(album={"song": songs}))
    with pytest.raises(PluginFailure, match="ask for fewer items"):
        ask(catalog, action="browse", id="album:1", limit=500)
    assert len(ask(catalog, action="browse", id="album:1", limit=20)["items"]) == 20


def test_a_large_library_is_one_answer(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Fifty thousand artists, and the last of them."""
    artists = [{"id": str(n), "name": f"Artist {n:05}"} for n in range(50_000)]
    web.answer = always(body(artists={"index": [{"name": "A", "artist": artists}]}))
    page = ask(catalog, action="browse", id="artists", offset=49_990, limit=100)
    assert (page["total"], len(page["items"]), page["items"][-1]["title"]) == (50_000, 10, "Artist 49999")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["id", "name", "title", "album", "song", "artist", "index", "entry", "coverArt", "duration", "isDir"]),
        inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_VALUES, action=st.sampled_from(["artists", "album:1", "playlist:1", "albums", "genres", "artist:1"]))
def test_any_answer_gives_items_or_an_error(
    stage: tuple[WasmSourceCatalog, ScriptedWeb], value: Any, action: str
) -> None:
    """Whatever JSON comes, JSON of the convention's shape goes out."""
    catalog, web = stage
    catalog.apply_config(json.dumps(CONFIG))
    names = ("artists", "artist", "album", "playlist", "albumList2", "genres")
    web.answer = always(body(**dict.fromkeys(names, value)))
    answer = ask(catalog, action="browse", id=action)
    for item in answer["items"]:
        assert isinstance(item["id"], str)
        assert item["kind"] in {"artist", "album", "track", "playlist", "folder"}
        assert isinstance(item["title"], str)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8), cut=st.floats(0, 1))
def test_any_bytes_give_items_or_an_error(
    stage: tuple[WasmSourceCatalog, ScriptedWeb], places: list[tuple[float, int]], cut: float
) -> None:
    """A sound answer with bytes turned and its end cut off never brings the plugin down."""
    catalog, web = stage
    catalog.apply_config(json.dumps(CONFIG))
    data = bytearray(body(album={"song": [SONG, SONG | {"title": '\\u00e9 " ü'}]}))
    for place, value in places:
        data[int(place * (len(data) - 1))] = value
    web.answer = always(bytes(data[: max(1, int(cut * len(data)))]) if cut < 0.9 else bytes(data))
    with contextlib.suppress(PluginFailure):  # an answer of its own; a trap would be another error
        ask(catalog, action="browse", id="album:1")


# --- streams --------------------------------------------------------------------------------------------------------

XML_ERROR = (
    b'<?xml version="1.0"?><subsonic-response status="failed"><error code="70" message="x"/></subsonic-response>'
)
MUSIC = b"fLaC" + bytes(range(256)) * 300


def music(path: str, query: dict[str, str]) -> bytes:
    """A server with one song."""
    if path.endswith("/getSong.view"):
        return body(song=SONG)
    assert path.endswith(("/stream.view", "/getCoverArt.view"))
    return MUSIC


def drain(stream: Any) -> bytes:
    """All of it."""
    data = b""
    while more := stream.read(10_000):
        data += more
    stream.close()
    return data


def test_tracks_open_by_uri_and_by_description(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """As the file that it is, with the tags that the server has; by URI it is asked for them."""
    web.answer = music
    web_item = SONG | {"suffix": "FLAC"}
    for opened in (catalog.open_uri("opensubsonic:track/s%201"), catalog.open_stream_json(json.dumps(web_item))):
        metadata = opened.metadata()
        assert metadata is not None
        assert (metadata.tags.title, metadata.tags.artists, metadata.tags.album) == ("Song", ("Artist",), "Album")
        assert (metadata.tags.track_number, metadata.tags.disc_number, metadata.tags.year) == (3, 1, 1999)
        assert metadata.tags.genres == ("Rock",)
        assert metadata.duration_ms == 61_000
        assert (metadata.format.codec, metadata.format.sample_rate, metadata.format.channels) == ("flac", 44100, 2)
        assert opened.ext_hint() == "flac"
        assert drain(opened.stream()) == MUSIC
    queries = [query_of(url) for url in web.urls]
    assert [query["id"] for query in queries] == ["s 1", "s1", "s1"]
    assert (queries[1]["format"], "format" in queries[0]) == ("raw", False)
    assert len({query["s"] for query in queries}) == 3


def test_covers_open_by_uri(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """An item's id leads to a URI, and that to the picture."""
    web.answer = music
    answer = ask(catalog, action="cover", id="album:al-1/ü")
    assert answer == {"uri": "opensubsonic:cover/al-1%2f%c3%bc"}
    assert drain(catalog.open_uri(answer["uri"]).stream()) == MUSIC
    assert query_of(web.urls[-1])["id"] == "al-1/ü"


def test_streams_without_ranges_are_opened_anew(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Looking at the first bytes costs none of them."""
    web.answer, web.ranges = music, False
    opened = catalog.open_stream_json('{"id": "s1"}')
    assert drain(opened.stream()) == MUSIC
    assert [stream.closed for stream in web.opened] == [True, True]


@pytest.mark.parametrize(
    ("data", "case"),
    [
        (failed(70), "not-found"),
        (XML_ERROR, "not-found"),
        (b"<html>no music</html>", "io"),
        (b'{"status": "ok"}', "io"),
        (body(), "io"),
        (b"", "io"),
        (b"<" * 200_000, "io"),
    ],
)  # fmt: skip
def test_documents_instead_of_music_are_errors(
    catalog: WasmSourceCatalog, web: ScriptedWeb, data: bytes, case: str
) -> None:
    """They come with status 200; the stream is closed."""
    web.answer = always(data)
    with pytest.raises(PluginFailure) as failure:
        catalog.open_stream_json('{"id": "s1"}')
    assert failure.value.case == case
    assert all(stream.closed for stream in web.opened)


@pytest.mark.parametrize(
    "uri", ["", "opensubsonic:", "opensubsonic:track/", "opensubsonic:track/%zz", "opensubsonic:track/%ff",
            "opensubsonic:other/1", "http://127.0.0.1/rest/stream?id=1", "file:///etc/passwd", "opensubsonic:track/%"],
)  # fmt: skip
def test_foreign_uris_are_refused(catalog: WasmSourceCatalog, web: ScriptedWeb, uri: str) -> None:
    """Nothing is asked for."""
    with pytest.raises(PluginFailure) as failure:
        catalog.open_uri(uri)
    assert (failure.value.case, web.urls) == ("invalid-arg", [])


@pytest.mark.parametrize("track", ["", "[]", "{}", '{"id": ""}', '{"id": {}}', "1"])
def test_descriptions_that_are_none(catalog: WasmSourceCatalog, web: ScriptedWeb, track: str) -> None:
    """A track has an id."""
    with pytest.raises(PluginFailure) as failure:
        catalog.open_stream_json(track)
    assert (failure.value.case, web.urls) == ("invalid-arg", [])


@pytest.mark.parametrize("suffix", ["mp 3", "../x", "", "x" * 20, 7, None, "é"])
def test_suffixes_that_are_none(catalog: WasmSourceCatalog, web: ScriptedWeb, suffix: Any) -> None:
    """A hint has letters and digits or is none."""
    web.answer = music
    opened = catalog.open_stream_json(json.dumps({"id": "1", "suffix": suffix}))
    assert opened.ext_hint() == ("7" if suffix == 7 else None)
    opened.stream().close()


def test_hundreds_of_calls_leak_nothing(catalog: WasmSourceCatalog, web: ScriptedWeb) -> None:
    """Many lists, errors and streams, large and small, through one instance."""
    large = body(album={"song": [SONG | {"id": str(n)} for n in range(3000)]})
    for turn in range(25):
        web.answer = always(large)
        assert len(ask(catalog, action="browse", id="album:1", limit=500)["items"]) == 500
        web.answer = music
        opened = catalog.open_uri("opensubsonic:track/1")
        opened.stream().close()
        web.answer = always(failed(40))
        with pytest.raises(PluginFailure):
            ask(catalog, action="browse", id=f"album:{turn}")
    assert all(stream.closed for stream in web.opened)
