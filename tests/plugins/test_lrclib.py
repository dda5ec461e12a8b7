"""The LRCLIB provider against a server that says whatever a test has it say."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from catalog_stage import ScriptedWeb, open_provider
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import ConfigRejected, PluginFailure
from stellatune_plugins.executor import WasmLyricsProvider
from stellatune_plugins.model import ConfigUpdateMode

URL = "http://127.0.0.1:8080/base"
TIMED = '[00:01.00] één\n[00:02.00] "twee"\n'
HIT = {"id": 7, "trackName": "Song", "artistName": "Ann", "albumName": "A", "duration": 12.5, "instrumental": False,
       "plainLyrics": "één\ntwee", "syncedLyrics": TIMED}  # fmt: skip

Stage = tuple[WasmLyricsProvider, ScriptedWeb]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One provider for all tests, on a web that each rewrites."""
    web = ScriptedWeb(lambda path, query: b"[]")
    with (
        WasmEngine() as engine,
        open_provider(tmp_path_factory.mktemp("home"), engine, web.services, {"base_url": URL}) as provider,
    ):
        yield provider, web


@pytest.fixture
def provider(stage: Stage) -> WasmLyricsProvider:
    """The provider, configured as usual."""
    stage[0].apply_config(json.dumps({"base_url": URL}))
    stage[1].urls.clear()
    return stage[0]


@pytest.fixture
def web(stage: Stage, provider: WasmLyricsProvider) -> ScriptedWeb:
    """Its web."""
    return stage[1]


def says(web: ScriptedWeb, value: Any) -> None:
    """The server answers everything with this."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    web.answer = lambda path, query: data


def test_lyrics_with_times_come_first(provider: WasmLyricsProvider, web: ScriptedWeb) -> None:
    """Then those without, each in the server's order; what has no words is left out."""
    says(web, [
        HIT | {"id": 1, "syncedLyrics": None},
        HIT | {"id": 2},
        HIT | {"id": 3, "plainLyrics": None, "syncedLyrics": None, "instrumental": True},
        HIT | {"id": 4, "plainLyrics": "", "syncedLyrics": ""},
        HIT | {"id": 5, "trackName": "Señor", "artistName": None},
    ])  # fmt: skip
    found = provider.search("song & ann?")
    assert [(hit.id, hit.title, hit.artist) for hit in found] == [
        ("2", "Song", "Ann"), ("5", "Señor", ""), ("1", "Song", "Ann")]  # fmt: skip
    (url,) = web.urls
    assert url.startswith(f"{URL}/api/search?")
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(url).query) == {"q": ["song & ann?"]}


@pytest.mark.parametrize("keyword", ["", "   "])
def test_nothing_is_searched_for_nothing(provider: WasmLyricsProvider, web: ScriptedWeb, keyword: str) -> None:
    """No candidates, no request."""
    assert provider.search(keyword) == ()
    assert web.urls == []


@pytest.mark.parametrize(
    ("entry", "text"),
    [(HIT, TIMED), (HIT | {"syncedLyrics": None}, "één\ntwee"), (HIT | {"syncedLyrics": ""}, "één\ntwee"),
     (HIT | {"syncedLyrics": "\U0001d11e \u00a0 \\ / \t"}, "\U0001d11e \u00a0 \\ / \t"), ([HIT][0], TIMED)],
)  # fmt: skip
def test_times_are_preferred(provider: WasmLyricsProvider, web: ScriptedWeb, entry: dict[str, Any], text: str) -> None:
    """LRC if there is any, else plain text, every character as it was."""
    for ascii_only in (False, True):
        says(web, json.dumps(entry, ensure_ascii=ascii_only).encode())
        assert provider.fetch("7") == text
    assert web.urls[0] == f"{URL}/api/get/7"


def test_an_entry_without_words_is_not_found(provider: WasmLyricsProvider, web: ScriptedWeb) -> None:
    """As is one that the server does not have."""
    says(web, HIT | {"plainLyrics": None, "syncedLyrics": None})
    with pytest.raises(PluginFailure) as failure:
        provider.fetch("7")
    assert failure.value.case == "not-found"

    def missing(path: str, query: dict[str, str]) -> bytes:
        raise PluginFailure("not-found", "the server answered 404")

    web.answer = missing
    with pytest.raises(PluginFailure) as failure:
        provider.fetch("7")
    assert failure.value.case == "not-found"


@pytest.mark.parametrize("candidate", ["", "x", "-1", "1/../../x", "1?x=2", "9" * 17, "\uff11"])
def test_ids_that_nobody_gave(provider: WasmLyricsProvider, web: ScriptedWeb, candidate: str) -> None:
    """Refused before they become part of a URL."""
    with pytest.raises(PluginFailure) as failure:
        provider.fetch(candidate)
    assert (failure.value.case, web.urls) == ("invalid-arg", [])


@pytest.mark.parametrize("config", ["[]", '{"base_url": 5}', '{"base_url": "ftp://x"}', '{"base_url": "https://u@x"}',
                                    '{"base_url": "https://x?y"}', '{"base_url": ""}'])  # fmt: skip
def test_configurations_that_are_refused(provider: WasmLyricsProvider, config: str) -> None:
    """By plan and by application."""
    assert provider.plan_config(config).mode is ConfigUpdateMode.REJECT
    with pytest.raises(ConfigRejected):
        provider.apply_config(config)


def test_the_public_service_is_the_default(provider: WasmLyricsProvider, web: ScriptedWeb) -> None:
    """Over https."""
    provider.apply_config("{}")
    says(web, [])
    provider.search("x")
    assert web.urls == ["https://lrclib.net/api/search?q=x"]


def test_candidates_are_bounded(provider: WasmLyricsProvider, web: ScriptedWeb) -> None:
    """However many the server has."""
    says(web, [HIT | {"id": n} for n in range(5000)])
    assert [hit.id for hit in provider.search("x")] == [str(n) for n in range(100)]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(HIT)), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_JSON)
def test_any_answer_gives_lyrics_or_an_error(stage: Stage, value: Any) -> None:
    """Whatever JSON comes, texts go out, or an answer that says what is wrong."""
    provider, web = stage
    says(web, value)
    with contextlib.suppress(PluginFailure):
        for hit in provider.search("x"):
            assert hit.id.isdigit()
    with contextlib.suppress(PluginFailure):
        assert isinstance(provider.fetch("1"), str)
