"""The lyrics world: searches and texts, made safe."""

from __future__ import annotations

from typing import Any

import pytest
from host_fakes import Answers

from stellatune_plugins.contract import Lyrics, LyricsProvider
from stellatune_plugins.errors import GuestContract, GuestTrap, InstanceDead, PluginFailure
from stellatune_plugins.executor import WasmLyrics

HTTP = Answers({"http://lyrics.example/la": "[1]"})


@pytest.fixture
def provider_of(make_stage: Any) -> Any:
    """Makes providers of the actor in a part, which find one answer for the keyword ``la``."""
    return lambda part="": make_stage(http=HTTP).provider(part)


def test_a_search_finds_candidates(provider_of: Any) -> None:
    """Title and artist are made safe to show; the id comes back to the plugin as it was."""
    with provider_of() as provider:
        (found,) = provider.search("la")
        assert (found.id, found.title, found.artist) == ("id \x01 one", "[1]", "Some [2Jbody")
        assert provider.fetch(found.id) == "[00:01.00]la\n[00:02.00] [31mla\n"


def test_nothing_found_is_the_plugins_answer(provider_of: Any) -> None:
    """Whatever it says; the provider goes on."""
    with provider_of() as provider:
        for call in (provider.search, provider.fetch):
            with pytest.raises(PluginFailure) as caught:
                call("nothing")
            assert caught.value.case == "not-found"


def test_many_candidates_are_cut(provider_of: Any) -> None:
    """The first are the best."""
    with provider_of("search:many") as provider:
        assert len(provider.search("la")) == 200


def test_an_endless_title_is_cut(provider_of: Any) -> None:
    """A person reads it."""
    with provider_of("search:rude") as provider:
        assert len(provider.search("la")[0].title) == 501


def test_a_candidate_without_an_id_is_left_out(provider_of: Any) -> None:
    """Or with one that is no id: it could not be fetched."""
    with provider_of("search:odd-ids") as provider:
        assert [c.id for c in provider.search("la")] == ["id \x01 one"]


def test_lyrics_without_end_break_the_cell(provider_of: Any) -> None:
    """A song has no million characters."""
    with provider_of("fetch:big") as provider:
        with pytest.raises(GuestContract):
            provider.fetch("id \x01 one")
        with pytest.raises(InstanceDead):
            provider.search("la")


def test_a_dead_provider_recovers(provider_of: Any) -> None:
    """A fresh cell, ready to search."""
    with provider_of("fetch:trap") as provider:
        provider.apply_config("{}")
        with pytest.raises(GuestTrap):
            provider.fetch("x")
        assert provider.recover().config_restored
        assert len(provider.search("la")) == 1


def test_it_serves_the_interfaces(make_stage: Any) -> None:
    """Nothing above can tell it from a native one."""
    stage = make_stage(http=HTTP)
    provider = stage.provider()
    lyrics: Lyrics = WasmLyrics(stage.executor, provider.ability)
    served: LyricsProvider = lyrics.create()
    assert len(served.search("la")) == 1
    served.close()
    provider.close()
