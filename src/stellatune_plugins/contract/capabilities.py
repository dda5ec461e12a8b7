"""The capability interfaces. Native and wasm plugins both serve them, so nothing above can tell one from the other.

Method by method they follow the WIT interfaces, with blocks of samples instead of byte lists. Every method may raise
:class:`~stellatune_plugins.errors.StellatuneError`; a plugin's own answer is a ``PluginFailure``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from stellatune_plugins.model import (
    AudioSpec,
    Block,
    ConfigUpdatePlan,
    CoreModuleSpec,
    DecoderInfo,
    Frames,
    Layouts,
    MediaMetadata,
    NegotiatedSpec,
    PcmChunk,
    SinkStatus,
)


class Configurable(Protocol):
    """The four config and state methods, and the end."""

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        """How the instance would take this configuration; changes nothing."""
        ...

    def apply_config(self, config_json: str) -> None:
        """Take this configuration."""
        ...

    def export_state(self) -> str | None:
        """State worth keeping for a successor, as JSON text."""
        ...

    def import_state(self, state_json: str) -> None:
        """Take over a predecessor's state."""
        ...

    def close(self) -> None:
        """End the instance. May be called again."""
        ...


class ByteStream(Protocol):
    """A stream of encoded bytes: WIT ``host-stream-handle``."""

    def read(self, max_bytes: int) -> bytes:
        """At most ``max_bytes``; empty at the end."""
        ...

    def seek(self, offset: int, whence: int = 0) -> int:
        """Give the new position; ``whence`` as in :mod:`os`."""
        ...

    def tell(self) -> int:
        """The position in bytes."""
        ...

    def size(self) -> int | None:
        """Bytes in all, ``None`` where that is unknown."""
        ...

    def close(self) -> None:
        """May be called again."""
        ...


# --- decoder --------------------------------------------------------------------------------------------------------


class DecoderSession(Configurable, Protocol):
    """One opened track."""

    def info(self) -> DecoderInfo: ...

    def metadata(self) -> MediaMetadata: ...

    def read_pcm(self, max_frames: Frames) -> PcmChunk:
        """The next frames. Priming and padding are still there: ``info`` says how much to trim."""
        ...

    def seek_ms(self, position_ms: int) -> None: ...


@runtime_checkable
class CountsDamage(Protocol):
    """A decoder session that goes on behind damaged data. Not in WIT; native decoders may serve it."""

    def damage(self) -> tuple[str, ...]:
        """What was wrong so far, each in a few words; empty for sound data."""
        ...


@runtime_checkable
class MakesRemarks(Protocol):
    """A decoder session that may have to leave something out of what it was asked for. Not in WIT."""

    def remarks(self) -> tuple[str, ...]:
        """What the user should know of it, each in a few words, such as a picture that was too large."""
        ...


class Decoder(Protocol):
    """Opens tracks."""

    def ext_scores(self) -> Mapping[str, int]:
        """How well each file extension (lower case, no dot) is decoded; the highest wins."""
        ...

    def wildcard_score(self) -> int | None:
        """The score for any other extension, ``None`` for not at all."""
        ...

    def open(self, stream: ByteStream, ext_hint: str | None) -> DecoderSession:
        """Open a track. The session owns the stream from here on, and closes it."""
        ...


# --- source ---------------------------------------------------------------------------------------------------------


class SourceStream(Protocol):
    """A stream that the source opened."""

    def metadata(self) -> MediaMetadata | None: ...

    def ext_hint(self) -> str | None: ...

    def stream(self) -> ByteStream: ...


class SourceCatalog(Configurable, Protocol):
    """One catalogue with its configuration."""

    def list_items_json(self, request_json: str) -> str: ...

    def open_stream_json(self, track_json: str) -> SourceStream: ...

    def open_uri(self, uri: str) -> SourceStream: ...


class Source(Protocol):
    """Makes catalogues."""

    def create(self) -> SourceCatalog: ...


# --- lyrics ---------------------------------------------------------------------------------------------------------


class LyricCandidate(Protocol):
    """One search hit."""

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def artist(self) -> str: ...


class LyricsProvider(Configurable, Protocol):
    """One provider with its configuration."""

    def search(self, keyword: str) -> Sequence[LyricCandidate]: ...

    def fetch(self, candidate_id: str) -> str: ...


class Lyrics(Protocol):
    """Makes providers."""

    def create(self) -> LyricsProvider: ...


# --- dsp ------------------------------------------------------------------------------------------------------------


class DspProcessor(Configurable, Protocol):
    """One processing instance for one stream."""

    def process(self, block: Block) -> Block:
        """One block of shape ``(frames, channels)``; gives as many frames, with ``output_channels()`` channels."""
        ...

    def supported_layouts(self) -> Layouts: ...

    def output_channels(self) -> int: ...

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:
        """The core module that does the same in real time; native processors have none."""
        ...

    def latency(self) -> Frames:
        """How far the output lags the input, for the present configuration; 0 where the interface cannot tell."""
        ...

    def tail(self) -> Frames | None:
        """Frames that still come after the input ended; ``None`` for a tail without end."""
        ...


class Dsp(Protocol):
    """Makes processors."""

    def create(self, spec: AudioSpec) -> DspProcessor: ...


# --- output sink ----------------------------------------------------------------------------------------------------


class OutputSinkSession(Configurable, Protocol):
    """One output, opened on at most one target."""

    def list_targets_json(self) -> str: ...

    def negotiate_spec(self, target_json: str, desired: AudioSpec) -> NegotiatedSpec: ...

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None: ...

    def open(self, target_json: str, spec: AudioSpec) -> None: ...

    def write(self, block: Block) -> Frames:
        """Give the number of frames that were accepted."""
        ...

    def status(self) -> SinkStatus: ...

    def flush(self) -> None:
        """Wait until everything written was played; a file sink finishes and publishes its file."""
        ...

    def reset(self) -> None:
        """Drop what was written and not yet played; a file sink drops its unfinished file."""
        ...


@runtime_checkable
class AcceptsMetadata(Protocol):
    """A sink that keeps tags and pictures beside the samples. Not in WIT; native sinks may serve it."""

    def set_metadata(self, metadata: MediaMetadata) -> None:
        """To be called between ``open`` and ``flush``."""
        ...


@runtime_checkable
class CountsClipping(Protocol):
    """A sink that cuts samples beyond full scale. Not in WIT; native sinks may serve it."""

    def clipped(self) -> int:
        """Samples cut since ``open``."""
        ...


class OutputSink(Protocol):
    """Makes sink sessions."""

    def create(self) -> OutputSinkSession: ...
