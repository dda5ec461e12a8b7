"""The convention for catalogues: what is asked, and what becomes of any answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import GuestContract
from stellatune_plugins.session.catalogue import Item, ItemKind, browse, search


class Catalog:
    """Gives one answer to everything."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def list_items_json(self, request_json: str) -> str:
        self.asked.append(json.loads(request_json))
        return self.answer


def test_requests_are_as_the_guide_says() -> None:
    """Both actions, with where to begin and how many."""
    catalog: Any = Catalog('{"items": []}')
    browse(catalog)
    browse(catalog, "a/b", offset=5, limit=7)
    search(catalog, "ü ☃", offset=100)
    assert catalog.asked == [
        {"action": "browse", "id": None, "offset": 0, "limit": 100},
        {"action": "browse", "id": "a/b", "offset": 5, "limit": 7},
        {"action": "search", "query": "ü ☃", "offset": 100, "limit": 100},
    ]


def test_an_item_has_everything_that_the_guide_names() -> None:
    """And the track goes back as it came."""
    fields = {
        "id": "1",
        "kind": "track",
        "title": "A song",
        "artist": "One",
        "album": "All",
        "duration_ms": 1000,
        "track_number": 3,
        "uri": "song:1",
        "cover": "cover:1",
        "track": {"id": "1", "more": [1, {"x": None}]},
        "of later days": True,
    }
    page = browse(Catalog(json.dumps({"items": [fields], "total": 9, "next_offset": 1})))  # type: ignore[arg-type]
    (item,) = page.items
    assert (item.kind, item.track_number, item.cover) == (ItemKind.TRACK, 3, "cover:1")
    assert json.loads(item.open_text or "") == fields["track"]
    assert (page.total, page.next_offset, page.left_out) == (9, 1, 0)


def test_a_track_may_be_a_text() -> None:
    """Whatever JSON the source wants back."""
    item = Item(id="1", kind=ItemKind.TRACK, title="x", track="r500")
    assert item.open_text == '"r500"'
    assert Item(id="1", kind=ItemKind.TRACK, title="x", uri="song:1").open_text == "song:1"
    assert Item(id="1", kind=ItemKind.FOLDER, title="x").open_text is None


def test_what_is_no_item_is_left_out() -> None:
    """One bad line does not cost the list."""
    items: list[Any] = [{"id": "1", "kind": "folder", "title": "x"}, {"id": 2}, None, {"kind": "track", "title": "x"}]
    page = browse(Catalog(json.dumps({"items": items})))  # type: ignore[arg-type]
    assert [item.id for item in page.items] == ["1"]
    assert page.left_out == 3


def test_a_list_that_leads_back_ends() -> None:
    """Or it would be asked for ever."""
    for following in (0, 5, -1):
        catalog: Any = Catalog(json.dumps({"items": [], "next_offset": following}))
        assert browse(catalog, offset=5).next_offset is None


@given(st.text(max_size=60))
def test_anything_else_is_the_sources_fault(text: str) -> None:
    """One error, whatever it is."""
    catalog: Any = Catalog(text)
    try:
        browse(catalog)
    except GuestContract:
        return
    assert isinstance(json.loads(text)["items"], list)


def test_nesting_without_end_is_no_crash() -> None:
    """Of the answer, or within an item."""
    item = '{"items": [{"id": "1", "kind": "track", "title": "x", "track": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}]}"
    for deep in ("[" * 100_000, item):
        with pytest.raises(GuestContract):
            browse(Catalog(deep))  # type: ignore[arg-type]
