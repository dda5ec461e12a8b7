"""What a music folder's catalogue lists: ids into the index, and what is found there as items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.native.music_folder import Place, shown, to_place, to_text, uri_below
from stellatune_plugins.native.music_index import Album, Artist, MusicIndex, Track
from stellatune_plugins.native.music_library import MusicLibrary

Thing = Track | Album | Artist | tuple[str, str]
"""What a list has; a folder is its id and its title."""

_ROOTS: Final[Mapping[str, str]] = {
    "artists": "Artists",
    "albums": "Albums",
    "folders": "Folders",
    "tracks": "All tracks",
}


def browse(index: MusicIndex, item_id: str | None) -> Sequence[Thing]:
    """What is in an item; without one, the roots.

    Raises:
        PluginFailure: ``not-found``.
    """
    if not item_id:
        return list(_ROOTS.items())
    if item_id in index.artists:
        return index.artists[item_id].albums
    if item_id in index.albums:
        return index.albums[item_id].tracks
    roots: dict[str, Iterable[Thing]] = {
        "artists": index.artists.values(),
        "albums": index.albums.values(),
        "tracks": index.tracks,
    }
    if item_id in roots:
        return list(roots[item_id])
    if item_id == "folders" or item_id.startswith("folder:"):
        folder = index.folders.get(() if item_id == "folders" else place_in(item_id, "folder:"))
        if folder is not None:
            below = [(f"folder:{to_text(place)}", shown(place[-1])) for place in folder.folders]
            return [*below, *folder.tracks]
    raise PluginFailure("not-found", f"there is no {item_id[:200]!r} in this folder")


def search(index: MusicIndex, query: str) -> Sequence[Thing]:
    """What a text finds: artists, albums, tracks."""
    artists, albums, tracks = index.search(query[:1000])
    return [*artists, *albums, *tracks]


def cover_uri(library: MusicLibrary, tracks: Iterable[Track]) -> str | None:
    """Where the first cover among some tracks is."""
    for track in tracks:
        beside = library.cover_beside(track.place)
        if beside is not None:
            return uri_below(library.path, beside)
        if track.has_cover:
            return f"{uri_below(library.path, track.place)}#cover"
    return None


def item_of(library: MusicLibrary, thing: Thing) -> dict[str, Any]:
    """A line of a list, by the convention."""
    if isinstance(thing, Track):
        tags, path = thing.metadata.tags, thing.place
        item: dict[str, Any] = {
            "id": thing.id,
            "kind": "track",
            "title": thing.title,
            "artist": thing.artist,
            "album": tags.album,
            "duration_ms": thing.metadata.duration_ms,
            "track_number": tags.track_number,
            "disc_number": tags.disc_number,
            "uri": uri_below(library.path, path),
            "cover": cover_uri(library, (thing,)),
            "track": {"id": thing.id},
        }
    elif isinstance(thing, Album):
        item = {
            "id": thing.id,
            "kind": "album",
            "title": thing.title,
            "artist": thing.artist,
            "year": thing.year,
            "cover": cover_uri(library, thing.tracks),
        }
    elif isinstance(thing, Artist):
        item = {"id": thing.id, "kind": "artist", "title": thing.name}
    else:
        item = {"id": thing[0], "kind": "folder", "title": thing[1]}
    return {key: value for key, value in item.items() if value is not None}


def place_in(item_id: str, prefix: str) -> Place:
    """The place that an id of this kind has in it.

    Raises:
        PluginFailure: ``invalid-arg``.
    """
    if not item_id.startswith(prefix) or len(item_id) == len(prefix):
        raise PluginFailure("invalid-arg", f"this is no {prefix[:-1]} of this source")
    return to_place(item_id.removeprefix(prefix))
