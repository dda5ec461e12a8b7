"""A music folder's index, made and kept up to date by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.native.music_folder import FoundFile, MusicFolder, Place, shown
from stellatune_plugins.native.music_index import MusicIndex, Track
from stellatune_plugins.native.music_tags import MusicFile, TagsUnreadable

MUSIC: Final = frozenset({
    "aac", "ac3", "aif", "aiff", "ape", "asf", "dff", "dsf", "flac", "m4a", "m4b", "mp3", "mp4", "mpc", "oga", "ogg",
    "opus", "spx", "tak", "tta", "wav", "wma", "wv",
})  # fmt: skip
"""File extensions of what mutagen knows."""
COVERS: Final = tuple(
    f"{stem}.{ext}" for stem in ("cover", "folder", "front") for ext in ("jpg", "jpeg", "png", "webp")
)

_PUBLISH_FIRST: Final = 0.5
"""Seconds after which a first, partial index can be seen; each further one takes twice as long."""
_SETTLE: Final = 0.3
"""Seconds that a burst of changes is waited for."""
_log = logging.getLogger(__name__)


class ScanState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the index is."""

    complete: bool = False
    """At least one scan went through."""
    found: int = 0
    read: int = 0
    skipped: int = 0
    """Files that look like music and could not be read as such."""
    watching: bool = False
    """Changes are reported by the system; otherwise they show at the next rescan."""
    problem: str | None = None
    """Why the last scan failed."""


class _Read(msgspec.Struct, frozen=True):
    """What came of reading one file."""

    file: FoundFile
    track: Track | None


class MusicLibrary:
    """The index of one folder.

    Args:
        path: the folder.
        watch: whether to have changes reported; without the package ``watchfiles`` they are not.
        rescan_s: how often to look all over, for folders whose changes nobody reports.
    """

    def __init__(self, path: Path, *, watch: bool = True, rescan_s: float = 300.0) -> None:
        self.path = path
        self._rescan_s = rescan_s
        self._condition = threading.Condition()
        self._index = MusicIndex(())
        self._state = ScanState()
        self._failure: PluginFailure | None = None
        self._known: dict[Place, _Read] = {}
        self._covers: dict[Place, Place] = {}
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._threads = [threading.Thread(target=self._keep, name="music-scan", daemon=True)]
        if watch:
            self._threads.append(threading.Thread(target=self._watch, name="music-watch", daemon=True))
        for thread in self._threads:
            thread.start()

    def index(self, wait_s: float) -> tuple[MusicIndex, ScanState]:
        """What is known, after waiting for the first scan for a while.

        Raises:
            PluginFailure: the folder could never be read.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._state.complete or self._failure or self._stop.is_set(), wait_s)
            if self._failure is not None and not self._state.complete:
                raise self._failure
            return self._index, self._state

    def cover_beside(self, place: Place) -> Place | None:
        """The picture file in a track's folder."""
        return self._covers.get(place[:-1])

    def close(self) -> None:
        """End the threads. May be called again."""
        self._stop.set()
        self._changed.set()
        with self._condition:
            self._condition.notify_all()
        for thread in self._threads:
            thread.join(10.0)

    def _keep(self) -> None:
        while not self._stop.is_set():
            self._changed.clear()
            try:
                self._scan()
            except PluginFailure as failure:
                self._fail(failure)
            except Exception as error:  # noqa: BLE001 - a thread must not end in silence
                _log.exception("scanning %s failed", self.path)
                self._fail(PluginFailure("internal", f"scanning the music folder failed: {error}"))
            if self._changed.wait(self._rescan_s) and self._stop.wait(_SETTLE):
                return

    def _watch(self) -> None:
        try:
            import watchfiles  # noqa: PLC0415 - an extra; rescans do without
        except ImportError:
            return
        watch = watchfiles.watch(
            self.path, stop_event=self._stop, raise_interrupt=False, step=50, rust_timeout=1000, yield_on_timeout=True
        )
        try:
            for changes in watch:
                if changes or not self._state.watching:
                    # The first turn, with or without changes: what happened before the watch stood was not reported.
                    self._changed.set()
                    self._set(watching=True)
        except Exception as error:  # noqa: BLE001 - no watches left, or no folder: rescans do without
            _log.warning("%s is not watched for changes: %s", self.path, error)
        self._set(watching=False)

    def _scan(self) -> None:
        folder = MusicFolder(self.path)
        try:
            known: dict[Place, _Read] = {}
            covers: dict[Place, Place] = {}
            publish_at, pause = time.monotonic() + _PUBLISH_FIRST, _PUBLISH_FIRST
            for files in folder.walk():
                _find_cover(files, covers)
                for read in self._read_all(folder, files):
                    known[read.file.place] = read
                    if not self._state.complete and time.monotonic() > publish_at:
                        self._publish(known, covers, complete=False)
                        pause *= 2
                        publish_at = time.monotonic() + pause
                if self._stop.is_set():
                    return
            self._known = known
            self._publish(known, covers, complete=True)
        finally:
            folder.close()

    def _read_all(self, folder: MusicFolder, files: list[FoundFile]) -> Iterator[_Read]:
        for file in files:
            if shown(file.place[-1]).rpartition(".")[2].lower() in MUSIC and not self._stop.is_set():
                before = self._known.get(file.place)
                yield before if before is not None and before.file == file else _Read(file, _read(folder, file.place))

    def _publish(self, known: dict[Place, _Read], covers: dict[Place, Place], *, complete: bool) -> None:
        tracks = [read.track for read in known.values() if read.track is not None]
        index = MusicIndex(tracks)
        with self._condition:
            self._index, self._covers, self._failure = index, covers, None
            self._state = msgspec.structs.replace(
                self._state,
                complete=complete,
                found=len(known),
                read=len(tracks),
                skipped=len(known) - len(tracks),
                problem=None,
            )
            self._condition.notify_all()

    def _fail(self, failure: PluginFailure) -> None:
        with self._condition:
            self._failure = failure
            self._state = msgspec.structs.replace(self._state, problem=failure.message)
            self._condition.notify_all()

    def _set(self, *, watching: bool) -> None:
        with self._condition:
            self._state = msgspec.structs.replace(self._state, watching=watching)


def _read(folder: MusicFolder, place: Place) -> Track | None:
    try:
        with folder.open(place) as file:
            music = MusicFile(file, shown(place[-1]))
            return Track(place, music.metadata(), music.cover() is not None)
    except (PluginFailure, TagsUnreadable) as error:
        _log.info("%s is passed over: %s", shown(place[-1]), error)
    except Exception as error:  # noqa: BLE001 - mutagen may hold what it cannot show; one file must not end the scan
        _log.info("%s is passed over: %r", shown(place[-1]), error)
    return None


def _find_cover(files: list[FoundFile], covers: dict[Place, Place]) -> None:
    names = {shown(file.place[-1]).lower(): file.place for file in files}
    for name in COVERS:
        if name in names:
            covers[names[name][:-1]] = names[name]
            return
