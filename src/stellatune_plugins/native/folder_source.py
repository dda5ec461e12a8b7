"""A source of music out of a local folder: browsing, search, covers, and the files as streams.

Requests and answers are those of ``docs/guide/writing-source-plugins.md``. Ids: ``artists``, ``albums``, ``folders``
and ``tracks`` are the roots, ``artist:...``, ``album:...``, ``folder:PATH`` and ``track:PATH`` what lies below. A
track's URI is its ``file:`` URI; a cover's is that of the picture beside the track, or the track's own with the
fragment ``cover``.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from stellatune_plugins.contract.capabilities import ByteStream
from stellatune_plugins.errors import ConfigRejected, PluginFailure
from stellatune_plugins.model import ConfigUpdateMode, ConfigUpdatePlan, MediaMetadata
from stellatune_plugins.native.av_metadata import mime_of
from stellatune_plugins.native.folder_listing import browse, cover_uri, item_of, place_in, search
from stellatune_plugins.native.music_folder import MusicFolder, Place, shown, to_text
from stellatune_plugins.native.music_index import Track
from stellatune_plugins.native.music_library import COVERS, MUSIC, MusicLibrary, ScanState
from stellatune_plugins.native.music_tags import MusicFile, TagsUnreadable
from stellatune_plugins.native.streams import BytesByteStream, OpenedByteStream

MAX_LIMIT: Final = 1000
Item = dict[str, Any]
_T = TypeVar("_T")


class FolderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The source's configuration."""

    folder: str | None = None
    """The music folder, as an absolute path; without one there is nothing to browse."""
    watch: bool = True
    rescan_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 300.0
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 10.0
    """How long a request waits for the first scan; after that it answers with what was found so far."""


class _Request(msgspec.Struct, frozen=True):
    action: Literal["browse", "search", "cover"]
    id: str | None = None
    query: str = ""
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1)] = 100


class _TrackRef(msgspec.Struct, frozen=True):
    id: str


class FolderStream:
    """An opened track or cover."""

    def __init__(self, stream: ByteStream, ext_hint: str | None, metadata: MediaMetadata | None) -> None:
        self._stream, self._ext_hint, self._metadata = stream, ext_hint, metadata

    def metadata(self) -> MediaMetadata | None:
        return self._metadata

    def ext_hint(self) -> str | None:
        return self._ext_hint

    def stream(self) -> ByteStream:
        return self._stream


class FolderCatalog:
    """One folder's catalogue. May be used by several threads."""

    def __init__(self) -> None:
        self._config = FolderConfig()
        self._library: MusicLibrary | None = None

    # --- configuration ---

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        try:
            _parse_config(config_json)
        except ConfigRejected as refusal:
            return ConfigUpdatePlan(ConfigUpdateMode.REJECT, refusal.message)
        return ConfigUpdatePlan(ConfigUpdateMode.HOT_APPLY, None)

    def apply_config(self, config_json: str) -> None:
        """Take a configuration; another folder is scanned anew, in the background.

        Raises:
            ConfigRejected: it is none.
        """
        config = _parse_config(config_json)
        if config == self._config:
            return
        self.close()
        self._config = config
        if config.folder is not None:
            self._library = MusicLibrary(Path(config.folder), watch=config.watch, rescan_s=config.rescan_s)

    def export_state(self) -> str | None:
        return None

    def import_state(self, state_json: str) -> None:  # noqa: ARG002 - the interface's name; there is no state
        raise ConfigRejected("there is no state to take over", operation="state.import")

    def close(self) -> None:
        library, self._library = self._library, None
        if library is not None:
            library.close()

    def __del__(self) -> None:
        if getattr(self, "_library", None) is not None:
            warnings.warn("a folder's catalogue was never closed", ResourceWarning, stacklevel=1, source=self)
            self.close()

    # --- the catalogue ---

    def list_items_json(self, request_json: str) -> str:
        """Answer a request.

        Raises:
            PluginFailure: ``invalid-arg`` for what is no request, ``not-found`` for an id that is not there.
        """
        request = _decode(request_json, _Request, "the request")
        library = self._opened()
        if request.action == "cover":
            return json.dumps(self._cover(library, request.id or ""))
        index, state = library.index(self._config.wait_s)
        items = browse(index, request.id) if request.action == "browse" else search(index, request.query)
        limit = min(request.limit, MAX_LIMIT)
        page = items[request.offset : request.offset + limit]
        answer: dict[str, Any] = {
            "items": [item_of(library, thing) for thing in page],
            "total": len(items),
        }
        if request.offset + limit < len(items):
            answer["next_offset"] = request.offset + limit
        if not state.complete or state.skipped or state.problem:
            answer["scan"] = _scan_report(state)
        return json.dumps(answer)

    def open_stream_json(self, track_json: str) -> FolderStream:
        """Open a track as :meth:`list_items_json` described it."""
        ref = _decode(track_json, _TrackRef, "the track")
        return self._open_track(place_in(ref.id, "track:"))

    def open_uri(self, uri: str) -> FolderStream:
        """Open a track or a cover by its URI.

        Raises:
            PluginFailure: ``denied`` for everything that is not music or a cover below the folder.
        """
        path, _, fragment = uri.partition("#")
        folder = MusicFolder(self._opened().path)
        try:
            place = folder.place_of(path)
            if fragment == "cover":
                return _embedded_cover(folder, place)
        finally:
            folder.close()
        return self._open_track(place)

    def _opened(self) -> MusicLibrary:
        if self._library is None:
            raise PluginFailure("invalid-arg", 'no music folder is configured: {"folder": "/path"}')
        return self._library

    def _open_track(self, place: Place) -> FolderStream:
        """Open a file; nothing but music and covers, so that this is no way to read whatever lies in the folder."""
        library = self._opened()
        name = shown(place[-1]).lower() if place else ""
        ending = name.rpartition(".")[2]
        if ending not in MUSIC and name not in COVERS:
            raise PluginFailure("denied", "this is neither music nor a cover")
        folder = MusicFolder(library.path)
        try:
            file = folder.open(place)
        finally:
            folder.close()
        index, _ = library.index(0.0)
        track = index.by_id.get(f"track:{to_text(place)}")
        return FolderStream(OpenedByteStream(file), ending, track.metadata if track else None)

    def _cover(self, library: MusicLibrary, item_id: str) -> Item:
        index, _ = library.index(self._config.wait_s)
        tracks: Sequence[Track] = ()
        if item_id in index.by_id:
            tracks = (index.by_id[item_id],)
        elif item_id in index.albums:
            tracks = index.albums[item_id].tracks
        uri = cover_uri(library, tracks)
        if uri is None:
            raise PluginFailure("not-found", "there is no such item, or it has no cover")
        stream = self.open_uri(uri).stream()
        try:
            return {"uri": uri, "mime": mime_of(stream.read(16)) or "image/jpeg"}
        finally:
            stream.close()


class FolderSource:
    """Makes catalogues."""

    def create(self) -> FolderCatalog:
        return FolderCatalog()


def make() -> FolderSource:
    """The entry point's factory."""
    return FolderSource()


def _embedded_cover(folder: MusicFolder, place: Place) -> FolderStream:
    picture = None
    with folder.open(place) as file, contextlib.suppress(TagsUnreadable):
        picture = MusicFile(file, shown(place[-1])).cover()
    if picture is None:
        raise PluginFailure("not-found", f"{shown(place[-1])} has no cover")
    return FolderStream(BytesByteStream(picture.data), picture.mime.partition("/")[2], None)


def _scan_report(state: ScanState) -> dict[str, Any]:
    report = {"complete": state.complete, "found": state.found, "skipped": state.skipped}
    return report | ({"problem": state.problem} if state.problem else {})


def _parse_config(config_json: str) -> FolderConfig:
    try:
        config = msgspec.json.decode(config_json or "{}", type=FolderConfig)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ConfigRejected(str(error), operation="config.apply") from error
    if config.folder is not None and (not config.folder.startswith("/") or "\0" in config.folder):
        raise ConfigRejected("folder: expected an absolute path", operation="config.apply")
    return config


def _decode(text: str, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise PluginFailure("invalid-arg", f"{what} is not understood: {error}") from error
