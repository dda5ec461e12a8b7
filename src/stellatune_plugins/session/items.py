"""From an item of a source's catalogue to decoded blocks."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from stellatune_plugins.contract.capabilities import CountsDamage, Decoder, DecoderSession, MakesRemarks, SourceCatalog
from stellatune_plugins.errors import InputUnreadable, StellatuneError
from stellatune_plugins.model import AudioTags, ConfigUpdatePlan, DecoderInfo, Frames, MediaMetadata, PcmChunk
from stellatune_plugins.session.spool import rewindable

MAX_ITEM: Final = 64 * 1024
"""Characters of a URI or of a track's JSON."""
_EXTENSION: Final = re.compile(r"\.([A-Za-z0-9]{1,8})$")


def open_item(catalog: SourceCatalog, item: str, decoder: Decoder) -> DecoderSession:
    """Open a track of a source.

    A stream that only goes forward is kept while it is read, so that decoders can go back in it.

    Args:
        catalog: the source's.
        item: a track's JSON (an object or a string) as the source listed it, or a URI that it understands.
        decoder: opens what the source gives.

    Raises:
        InputUnreadable: no decoder can read it.
        StellatuneError: the source cannot open it.
    """
    opened = catalog.open_stream_json(item) if is_track(item) else catalog.open_uri(item)
    stream = rewindable(opened.stream())
    try:
        described = opened.metadata()
        session = decoder.open(stream, opened.ext_hint() or extension_of(item))
    except StellatuneError as error:
        stream.close()
        if isinstance(error, InputUnreadable):
            raise InputUnreadable(
                f"{label_of(item)}: {error.message}", plugin=error.plugin, operation=error.operation, **error.details
            ) from error
        raise
    except BaseException:
        stream.close()
        raise
    return session if described is None else DescribedSession(session, described)


def is_track(item: str) -> bool:
    """Whether this is a track's JSON, and not a URI."""
    return item.lstrip()[:1] in {"{", '"'}


def label_of(item: str) -> str:
    """What to call an item: its title where it has one, else its URI or id."""
    if not is_track(item):
        return item
    try:
        track = msgspec.json.decode(item)
    except (msgspec.DecodeError, RecursionError):
        return item[:80]
    if isinstance(track, dict):
        for key in ("title", "uri", "id"):
            if isinstance(track.get(key), (str, int)):
                return str(track[key])
        return item[:80]
    return str(track)


def extension_of(item: str) -> str | None:
    """The extension in a URI's path, lower case; ``None`` where it has none."""
    if is_track(item):
        return None
    try:
        path = urlsplit(item).path
    except ValueError:
        return None
    found = _EXTENSION.search(path)
    return found[1].lower() if found else None


class DescribedSession:
    """A decoder's session with what the source knows of the track; serves ``DecoderSession``.

    The file's own tags come first: the source fills the gaps.

    Args:
        session: the decoder's.
        described: the source's.
    """

    def __init__(self, session: DecoderSession, described: MediaMetadata) -> None:
        self._session = session
        self._described = described

    def info(self) -> DecoderInfo:
        return self._session.info()

    def metadata(self) -> MediaMetadata:
        return merged(self._session.metadata(), self._described)

    def read_pcm(self, max_frames: Frames) -> PcmChunk:
        return self._session.read_pcm(max_frames)

    def seek_ms(self, position_ms: int) -> None:
        self._session.seek_ms(position_ms)

    def damage(self) -> tuple[str, ...]:
        """Of the decoder's, where it counts it."""
        return self._session.damage() if isinstance(self._session, CountsDamage) else ()

    def remarks(self) -> tuple[str, ...]:
        """Of the decoder's, where it makes any."""
        return self._session.remarks() if isinstance(self._session, MakesRemarks) else ()

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return self._session.plan_config(config_json)

    def apply_config(self, config_json: str) -> None:
        self._session.apply_config(config_json)

    def export_state(self) -> str | None:
        return self._session.export_state()

    def import_state(self, state_json: str) -> None:
        self._session.import_state(state_json)

    def close(self) -> None:
        self._session.close()


def merged(first: MediaMetadata, second: MediaMetadata) -> MediaMetadata:
    """What the first has, and of the second what the first lacks."""
    tags = {name: getattr(first.tags, name) or getattr(second.tags, name) for name in AudioTags.__struct_fields__}
    known = {key for key, _ in first.extras}
    return MediaMetadata(
        tags=AudioTags(**tags),
        duration_ms=first.duration_ms if first.duration_ms is not None else second.duration_ms,
        format=first.format if first.format.codec != "unknown" else second.format,
        extras=(*first.extras, *(extra for extra in second.extras if extra[0] not in known)),
        pictures=first.pictures or second.pictures,
    )
