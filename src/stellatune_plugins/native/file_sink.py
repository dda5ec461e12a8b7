"""The bundled file sink: WAV, FLAC, Ogg Vorbis and Opus files that appear whole or not at all.

A target is JSON: ``{"path": ..., "format": "wav|flac|ogg|opus", "bits": "16|24|32f", "dither": true, "seed": 0,
"overwrite": false, "compression": 0..1, "quality": 0..1}``; all but the path may be left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Literal, Protocol

import msgspec
import mutagen
import numpy as np
import numpy.typing as npt
import soundfile

from stellatune_plugins.errors import OutputFailed, UsageError
from stellatune_plugins.model import (
    AudioSpec,
    Block,
    CoreModuleSpec,
    Frames,
    MediaMetadata,
    NegotiatedSpec,
    SampleRate,
    SinkStatus,
)
from stellatune_plugins.native.publish import PartFile, output_failed
from stellatune_plugins.native.quantize import Quantizer
from stellatune_plugins.native.sndfile import SndfileWriter
from stellatune_plugins.native.tag_writer import has_anything, write_tags
from stellatune_plugins.native.unconfigured import Unconfigured
from stellatune_plugins.native.wav import WavWriter

CHUNK: Final = Frames(16384)
OPUS_RATES: Final = (48000, 24000, 16000, 12000, 8000)
FORMAT_OF_SUFFIX: Final = {
    ".wav": "wav", ".wave": "wav", ".flac": "flac", ".ogg": "ogg", ".oga": "ogg", ".opus": "opus",
}  # fmt: skip
_FLAC_LEVEL: Final = 0.3
"""Half a percent larger than libFLAC's own default, a fifth faster, and still smaller than FFmpeg's."""
_MAX_RATE: Final = {"wav": 1_536_000, "flac": 655_350, "ogg": 200_000, "opus": 48_000}
_MAX_CHANNELS: Final = {"wav": 64, "flac": 8, "ogg": 8, "opus": 8}

Fraction01 = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class FileTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to write, and how."""

    path: Annotated[str, msgspec.Meta(min_length=1)]
    format: Literal["wav", "flac", "ogg", "opus"] | None = None
    bits: Literal["16", "24", "32f"] | None = None
    dither: bool = True
    seed: int = 0
    overwrite: bool = False
    compression: Fraction01 | None = None
    quality: Fraction01 | None = None

    @classmethod
    def parse(cls, target_json: str) -> FileTarget:
        """Read a target and settle what was left open.

        Raises:
            UsageError: it is no target, or asks for what its format cannot hold.
        """
        try:
            target = msgspec.json.decode(target_json, type=cls)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise UsageError(f"no file target: {error}", operation="sink.open") from error
        if "\0" in target.path:
            raise UsageError("a path has no NUL", operation="sink.open")
        kind = target.format or FORMAT_OF_SUFFIX.get(Path(target.path).suffix.lower())
        if kind is None:
            raise UsageError(
                f"{target.path} has no ending that names a format",
                operation="sink.open",
                hint="name the format, or end the output in .wav, .flac, .ogg or .opus",
            )
        lossy = kind in {"ogg", "opus"}
        if target.bits is not None and (lossy or (kind == "flac" and target.bits == "32f")):
            raise UsageError(f"{kind} files have no {target.bits}-bit samples", operation="sink.open")
        if target.compression is not None and kind != "flac":
            raise UsageError(f"compression is for flac, not for {kind}", operation="sink.open")
        if target.quality is not None and not lossy:
            raise UsageError(f"quality is for ogg and opus, not for {kind}", operation="sink.open")
        return msgspec.structs.replace(target, format=kind, bits=None if lossy else target.bits or "24")


class _Writer(Protocol):
    def write(self, samples: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> None: ...
    def finish(self) -> object: ...


class FileSink:
    """Makes sessions that write one file each."""

    def create(self) -> FileSinkSession:
        return FileSinkSession()


class FileSinkSession(Unconfigured):
    """Writes one file at a time; it has its name only after ``flush``."""

    def __init__(self) -> None:
        self._part: PartFile | None = None
        self._writer: _Writer | None = None
        self._quantizer: Quantizer | None = None
        self._metadata: MediaMetadata | None = None
        self._target: FileTarget | None = None
        self._channels = 0
        self._clipped = 0
        self.warnings: list[str] = []

    def list_targets_json(self) -> str:
        """The formats there are; a path is the caller's to choose."""
        formats = {kind: [end for end, k in FORMAT_OF_SUFFIX.items() if k == kind] for kind in _MAX_RATE}
        return json.dumps([{"format": kind, "suffixes": ends} for kind, ends in formats.items()])

    def negotiate_spec(self, target_json: str, desired: AudioSpec) -> NegotiatedSpec:
        """What the format can hold: Opus has five rates only.

        Raises:
            UsageError: it is no target, or has no room for so many channels.
        """
        kind = str(FileTarget.parse(target_json).format)
        if not 1 <= desired.channels <= _MAX_CHANNELS[kind]:
            raise UsageError(f"{kind} files have no room for {desired.channels} channels", operation="sink.negotiate")
        rate = min(desired.sample_rate, _MAX_RATE[kind])
        if kind == "opus" and rate not in OPUS_RATES:
            rate = OPUS_RATES[0]
        spec = AudioSpec(SampleRate(rate), desired.channels)
        return NegotiatedSpec(spec, CHUNK, prefer_track_rate=kind != "opus")

    def describe_hot_path(self, spec: AudioSpec) -> CoreModuleSpec | None:  # noqa: ARG002 - the interface's name
        return None

    def open(self, target_json: str, spec: AudioSpec) -> None:
        """Begin a file beside its target.

        Raises:
            OutputExists: the target is there and may not be overwritten.
            OutputFailed: the folder cannot be written.
            UsageError: the target cannot hold the spec.
        """
        self.reset()
        target = FileTarget.parse(target_json)
        if self.negotiate_spec(target_json, spec).spec != spec:
            raise UsageError(f"{target.format} files cannot hold {spec}", operation="sink.open")
        self._part = PartFile(Path(target.path), overwrite=target.overwrite)
        self._target, self._channels, self._clipped = target, spec.channels, 0
        self.warnings = []
        try:
            self._writer = self._make_writer(target, spec)
        except (OSError, soundfile.SoundFileError, ValueError) as error:
            self.reset()
            raise output_failed(Path(target.path), error) from error
        self._quantizer = None
        if target.bits in {"16", "24"}:
            self._quantizer = Quantizer(int(target.bits), spec.channels, dither=target.dither, seed=target.seed)

    def set_metadata(self, metadata: MediaMetadata) -> None:
        self._metadata = metadata

    def write(self, block: Block) -> Frames:
        """Append a block; all of it is accepted.

        Raises:
            OutputFailed: the disk refused; the unfinished file is gone.
        """
        writer = self._writer
        if writer is None:
            raise OutputFailed("no output is open", operation="output.write")
        if block.ndim != 2 or block.shape[1] != self._channels:
            raise OutputFailed(
                f"a block of shape {block.shape} is not {self._channels} channels", operation="output.write"
            )
        with self._undone_on_error():
            if self._quantizer is not None:
                writer.write(self._quantizer(block))
                self._clipped = self._quantizer.clipped
            else:
                writer.write(self._sound_floats(block))
        return Frames(len(block))

    def clipped(self) -> int:
        return self._clipped

    def status(self) -> SinkStatus:
        return SinkStatus(queued_samples=0, running=self._writer is not None)

    def flush(self) -> None:
        """Finish the file, write its tags and give it its name.

        Raises:
            OutputExists: the target appeared in the meantime.
            OutputFailed: the disk refused. In both cases the unfinished file is gone.
        """
        writer, part, target = self._writer, self._part, self._target
        if writer is None or part is None or target is None:
            return
        with self._undone_on_error():
            large = writer.finish()
            if part.file is not None and self._metadata is not None and has_anything(self._metadata):
                if large:
                    self.warnings.append("tags were left out: the file is an RF64, which has no agreed place for them")
                else:
                    part.file.flush()
                    write_tags(part.file, str(target.format), self._metadata)
        self._writer = None
        part.publish()
        self.reset()

    def reset(self) -> None:
        """Drop the unfinished file, if there is one."""
        writer, self._writer = self._writer, None
        part, self._part = self._part, None
        self._metadata = None
        try:
            if isinstance(writer, SndfileWriter):
                writer.abandon()
        finally:
            if part is not None:
                part.discard()

    def close(self) -> None:
        self.reset()

    def _make_writer(self, target: FileTarget, spec: AudioSpec) -> _Writer:
        file = self._part.file if self._part else None
        if file is None:
            raise OSError("the output is closed")
        if target.format == "wav":
            is_float = target.bits == "32f"
            return WavWriter(file, spec, 32 if is_float else int(target.bits or "24"), is_float=is_float)
        if target.format == "flac":
            level = _FLAC_LEVEL if target.compression is None else target.compression
            return SndfileWriter(file, spec, "FLAC", f"PCM_{target.bits}", level)
        # libsndfile's level 0 is the best quality and the largest file.
        level = 1 - (0.7 if target.quality is None else target.quality)
        return SndfileWriter(file, spec, "OGG", str(target.format).replace("ogg", "vorbis").upper(), level)

    def _sound_floats(self, block: Block) -> Block:
        """Floats keep what is beyond full scale in WAV; the lossy encoders' decoders will cut it: counted."""
        if not np.isfinite(block).all():
            block = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        if self._target is not None and self._target.bits is None and len(block) and np.abs(block).max() > 1.0:
            self._clipped += int(np.count_nonzero(np.abs(block) > 1.0))
            block = np.clip(block, -1.0, 1.0)
        return block

    def _undone_on_error(self) -> _Undo:
        return _Undo(self)


class _Undo:
    """Whatever goes wrong inside, interruption included, removes the unfinished file."""

    def __init__(self, session: FileSinkSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        target = self._session._target  # noqa: SLF001 - one idea in two classes
        self._session.reset()
        if target is not None and isinstance(
            error, OSError | soundfile.SoundFileError | AssertionError | mutagen.MutagenError
        ):
            cause = error.__cause__ or error.__context__ if isinstance(error, mutagen.MutagenError) else None
            raise output_failed(Path(target.path), cause or error) from error


def make() -> FileSink:
    """The entry point's factory."""
    return FileSink()
