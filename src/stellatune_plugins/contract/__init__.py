"""What plugins and host agree on: WIT package, hot-path ABI, capability interfaces."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from stellatune_plugins.contract.capabilities import (
    AcceptsMetadata,
    ByteStream,
    Configurable,
    Decoder,
    DecoderSession,
    Dsp,
    DspProcessor,
    LyricCandidate,
    Lyrics,
    LyricsProvider,
    OutputSink,
    OutputSinkSession,
    Source,
    SourceCatalog,
    SourceStream,
)

__all__ = [
    "WIT_PACKAGE",
    "AcceptsMetadata",
    "ByteStream",
    "Configurable",
    "Decoder",
    "DecoderSession",
    "Dsp",
    "DspProcessor",
    "LyricCandidate",
    "Lyrics",
    "LyricsProvider",
    "OutputSink",
    "OutputSinkSession",
    "Source",
    "SourceCatalog",
    "SourceStream",
    "wit_folder",
]

WIT_PACKAGE = "stellatune:plugin@0.1.0"


def wit_folder() -> Traversable:
    """The folder with the WIT package, one file an interface."""
    return files("stellatune_plugins.contract") / "wit"
