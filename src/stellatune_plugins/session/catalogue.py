"""What a source's catalogue is asked, and what it answers: our convention for the JSON that upstream leaves open.

A request is ``{"action": "browse", "id": ID or null, "offset": 0, "limit": 100}`` or ``{"action": "search", "query":
TEXT, "offset": 0, "limit": 100}``; an answer ``{"items": [...], "total": n, "next_offset": n}``, where both numbers
may be left out. ``docs/guide/writing-source-plugins.md`` has the items' fields.
"""

from __future__ import annotations

import enum
from typing import Any, Final

import msgspec

from stellatune_plugins.contract.capabilities import SourceCatalog
from stellatune_plugins.errors import GuestContract
from stellatune_plugins.model import DurationMs

DEFAULT_LIMIT: Final = 100
MAX_ITEMS: Final = 10_000
"""Of one answer; what a source gives beyond is left out."""
OPERATION: Final = "source.list"


class ItemKind(enum.StrEnum):
    """What an item is. Only tracks can be opened; the others can be browsed."""

    FOLDER = "folder"
    ALBUM = "album"
    ARTIST = "artist"
    PLAYLIST = "playlist"
    TRACK = "track"


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a catalogue."""

    id: str
    kind: ItemKind
    title: str
    artist: str | None = None
    album: str | None = None
    duration_ms: DurationMs | None = None
    track_number: int | None = None
    uri: str | None = None
    """What ``open-uri`` takes."""
    cover: str | None = None
    """A URI of a picture."""
    track: Any = None
    """What ``open-stream-json`` takes, as the source wants it."""

    @property
    def open_text(self) -> str | None:
        """What :func:`~stellatune_plugins.session.items.open_item` takes; ``None`` where it cannot be opened."""
        if self.track is not None:
            return msgspec.json.encode(self.track).decode()
        return self.uri


class Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a list."""

    items: tuple[Item, ...]
    total: int | None = None
    next_offset: int | None = None
    """Where the next part begins; ``None`` where there is none."""
    left_out: int = 0
    """Items that were none: without an id or a title, or of a kind that does not exist."""


class _Answer(msgspec.Struct):
    """An answer as it comes: each item is looked at by itself."""

    items: list[msgspec.Raw]
    total: int | None = None
    next_offset: int | None = None


def browse(catalog: SourceCatalog, item_id: str | None = None, *, offset: int = 0, limit: int = DEFAULT_LIMIT) -> Page:
    """What is in an item (``None``: at the top).

    Raises:
        GuestContract: the answer is none.
        StellatuneError: the source's own.
    """
    return _ask(catalog, {"action": "browse", "id": item_id, "offset": offset, "limit": limit}, offset)


def search(catalog: SourceCatalog, query: str, *, offset: int = 0, limit: int = DEFAULT_LIMIT) -> Page:
    """What a text finds; raises as :func:`browse` does."""
    return _ask(catalog, {"action": "search", "query": query, "offset": offset, "limit": limit}, offset)


def _ask(catalog: SourceCatalog, request: dict[str, Any], offset: int) -> Page:
    text = catalog.list_items_json(msgspec.json.encode(request).decode())
    try:
        answer = msgspec.json.decode(text, type=_Answer)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise GuestContract(f"the source's answer is no list of items: {error}", operation=OPERATION) from error
    items: list[Item] = []
    for raw in answer.items[:MAX_ITEMS]:
        try:
            items.append(msgspec.json.decode(raw, type=Item))
        except (msgspec.DecodeError, RecursionError):
            continue
    following = answer.next_offset
    return Page(
        items=tuple(items),
        total=answer.total,
        # A source that leads back would be asked for ever.
        next_offset=following if following is not None and following > offset else None,
        left_out=len(answer.items) - len(items),
    )
