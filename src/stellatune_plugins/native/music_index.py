"""What is in a music folder, by artist, album and folder, and how it is found. Immutable: a change makes a new one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from stellatune_plugins.model import MediaMetadata
from stellatune_plugins.native.music_folder import Place, shown, to_text

UNKNOWN_ARTIST: Final = "Unknown artist"
UNKNOWN_ALBUM: Final = "Unknown album"
_LETTERS: Final = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i",
})  # fmt: skip
"""Letters whose stroke or ligature Unicode does not take apart."""


def folded(text: str) -> str:
    """Text without case and accents, for comparing and sorting."""
    # Twice: casefolding brings letters that can be taken apart, taking full-width ones apart brings capitals.
    for _ in range(2):
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return text.translate(_LETTERS)


class Track(msgspec.Struct, frozen=True):
    """A file of music."""

    place: Place
    metadata: MediaMetadata
    has_cover: bool = False

    @property
    def id(self) -> str:
        return f"track:{to_text(self.place)}"

    @property
    def title(self) -> str:
        return self.metadata.tags.title or shown(self.place[-1]).rpartition(".")[0]

    @property
    def artist(self) -> str:
        return ", ".join(self.metadata.tags.artists) or UNKNOWN_ARTIST

    @property
    def album_artist(self) -> str:
        tags = self.metadata.tags
        return ", ".join(tags.album_artists) or self.artist

    def order(self) -> tuple[int, int, str, Place]:
        """Where it stands in its album."""
        tags = self.metadata.tags
        return tags.disc_number or 0, tags.track_number or 0, folded(self.title), self.place


class Album(msgspec.Struct, frozen=True):
    """Tracks that belong together, in order."""

    id: str
    title: str
    artist: str
    year: int | None
    tracks: tuple[Track, ...]


class Artist(msgspec.Struct, frozen=True):
    """Whoever has albums."""

    id: str
    name: str
    albums: tuple[Album, ...]


class Folder(msgspec.Struct, frozen=True):
    """What lies in one folder."""

    place: Place
    folders: tuple[Place, ...]
    tracks: tuple[Track, ...]


class MusicIndex:
    """All tracks, arranged."""

    def __init__(self, tracks: Iterable[Track]) -> None:
        self.tracks = tuple(sorted(tracks, key=lambda t: (folded(t.title), t.place)))
        self.by_id: Mapping[str, Track] = {track.id: track for track in self.tracks}
        albums = _albums_of(self.tracks)
        self.albums: Mapping[str, Album] = {album.id: album for album in albums}
        self.artists: Mapping[str, Artist] = {artist.id: artist for artist in _artists_of(albums)}
        self.folders: Mapping[Place, Folder] = _folders_of(self.tracks)
        self._haystack = [
            (folded(" ".join((track.title, track.artist, track.album_artist, track.metadata.tags.album or ""))), track)
            for track in self.tracks
        ]

    def search(self, query: str) -> tuple[list[Artist], list[Album], list[Track]]:
        """Everything whose text has every word of the query, the best first; nothing for an empty one."""
        words = folded(query).split()
        if not words:
            return [], [], []

        def has_all(text: str) -> bool:
            return all(word in text for word in words)

        artists = [artist for artist in self.artists.values() if has_all(folded(artist.name))]
        albums = [album for album in self.albums.values() if has_all(folded(f"{album.title} {album.artist}"))]
        tracks = [track for text, track in self._haystack if has_all(text)]
        whole = " ".join(words)
        tracks.sort(key=lambda track: _rank(folded(track.title), whole))
        return artists, albums, tracks


def _rank(title: str, query: str) -> int:
    if title == query:
        return 0
    if title.startswith(query):
        return 1
    return 2 if query in title else 3


def _id(kind: str, *parts: str) -> str:
    """The same for the same names, whatever their case and accents."""
    text = "\0".join(folded(part) for part in parts)
    return f"{kind}:{hashlib.blake2s(text.encode('utf-8', 'replace'), digest_size=10).hexdigest()}"


def _albums_of(tracks: Iterable[Track]) -> list[Album]:
    groups: dict[str, list[Track]] = defaultdict(list)
    for track in tracks:
        tags = track.metadata.tags
        # Without an album artist, a compilation is held together by its folder.
        owner = ", ".join(tags.album_artists) or "/" + to_text(track.place[:-1])
        groups[_id("album", tags.album or "", owner)].append(track)
    albums = []
    for key, group in groups.items():
        group.sort(key=Track.order)
        artists = {folded(track.album_artist) for track in group}
        first = group[0]
        albums.append(
            Album(
                id=key,
                title=first.metadata.tags.album or UNKNOWN_ALBUM,
                artist=first.album_artist if len(artists) == 1 else "Various artists",
                year=next((t.metadata.tags.year for t in group if t.metadata.tags.year), None),
                tracks=tuple(group),
            )
        )
    return sorted(albums, key=lambda album: (folded(album.title), folded(album.artist), album.id))


def _artists_of(albums: Iterable[Album]) -> list[Artist]:
    names: dict[str, str] = {}
    groups: dict[str, list[Album]] = defaultdict(list)
    for album in albums:
        owners = {_id("artist", name): name for name in (album.artist, *(track.artist for track in album.tracks))}
        for key, name in owners.items():
            names.setdefault(key, name)
            groups[key].append(album)
    artists = [
        Artist(key, names[key], tuple(sorted(group, key=lambda a: (a.year or 0, folded(a.title), a.id))))
        for key, group in groups.items()
    ]
    return sorted(artists, key=lambda artist: (folded(artist.name), artist.id))


def _folders_of(tracks: Iterable[Track]) -> dict[Place, Folder]:
    inside: dict[Place, list[Track]] = defaultdict(list)
    below: dict[Place, set[Place]] = defaultdict(set)
    inside[()] = []
    for track in tracks:
        place = track.place[:-1]
        inside[place].append(track)
        while place and place not in below[place[:-1]]:
            below[place[:-1]].add(place)
            place = place[:-1]
    return {
        place: Folder(
            place,
            tuple(sorted(below.get(place, ()), key=lambda p: (folded(shown(p[-1])), p))),
            tuple(sorted(inside.get(place, ()), key=lambda t: t.place)),
        )
        for place in {*inside, *below}
    }
