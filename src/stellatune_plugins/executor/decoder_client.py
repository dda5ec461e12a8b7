"""A wasm decoder behind the capability interface."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stellatune_plugins.contract import ByteStream
from stellatune_plugins.executor.client import Executor
from stellatune_plugins.executor.instance_client import WasmInstance
from stellatune_plugins.executor.messages import (
    DecoderArguments,
    Info,
    Nothing,
    Pcm,
    ReadInfo,
    ReadMetadata,
    ReadPcm,
    SeekTo,
    Tagged,
)
from stellatune_plugins.executor.results import writable
from stellatune_plugins.model import AbilityKey, DecoderInfo, Frames, MediaMetadata, PcmChunk


class WasmDecoder:
    """Opens tracks with one ability; serves :class:`~stellatune_plugins.contract.Decoder`.

    Args:
        executor: where the plugin is active.
        ability: which ability of which plugin.
        ext_scores: what the manifest says of each extension (lower case, no dot).
        wildcard_score: what it says of every other one.
    """

    def __init__(
        self,
        executor: Executor,
        ability: AbilityKey,
        *,
        ext_scores: Mapping[str, int] | None = None,
        wildcard_score: int | None = None,
    ) -> None:
        self._executor = executor
        self.ability = ability
        self._ext_scores = dict(ext_scores or {})
        self._wildcard_score = wildcard_score

    def ext_scores(self) -> Mapping[str, int]:
        return dict(self._ext_scores)

    def wildcard_score(self) -> int | None:
        return self._wildcard_score

    def open(self, stream: ByteStream, ext_hint: str | None) -> WasmDecoderSession:
        """Open a track, in a cell of its own. The stream is closed with the session, or where this fails."""
        return WasmDecoderSession(self._executor, self.ability, stream, ext_hint)


class WasmDecoderSession(WasmInstance):
    """One opened track; serves :class:`~stellatune_plugins.contract.DecoderSession`. For one thread at a time.

    After :meth:`recover` it stands at the start of the track again.
    """

    def __init__(self, executor: Executor, ability: AbilityKey, stream: ByteStream, ext_hint: str | None) -> None:
        self._stream = executor.streams.put(stream)
        self._not_finite = 0
        self._left_out: tuple[str, ...] = ()
        try:
            super().__init__(executor, ability, DecoderArguments(self._stream, ext_hint))
        except BaseException:
            self._end_stream(executor)
            raise

    def info(self) -> DecoderInfo:
        return self._call(ReadInfo(), Info).info

    def metadata(self) -> MediaMetadata:
        metadata = self._call(ReadMetadata(), Tagged).metadata
        self._left_out = metadata.left_out
        return metadata.to_model()

    def read_pcm(self, max_frames: Frames) -> PcmChunk:
        """See the interface. May give fewer frames than asked for; samples that are no number come as silence."""
        answer = self._call(ReadPcm(max_frames), Pcm)
        samples = np.frombuffer(writable(answer.samples), dtype="<f4")
        finite = np.isfinite(samples)
        if not finite.all():
            self._not_finite += samples.size - int(np.count_nonzero(finite))
            samples[~finite] = 0.0
        return PcmChunk(samples.reshape(-1, answer.channels), answer.eof)

    def seek_ms(self, position_ms: int) -> None:
        self._call(SeekTo(position_ms), Nothing)

    def damage(self) -> tuple[str, ...]:
        """See :class:`~stellatune_plugins.contract.capabilities.CountsDamage`."""
        return (f"{self._not_finite} samples were no numbers",) if self._not_finite else ()

    def remarks(self) -> tuple[str, ...]:
        """See :class:`~stellatune_plugins.contract.capabilities.MakesRemarks`."""
        return tuple(f"left out: {what}" for what in self._left_out)

    def close(self) -> None:
        """End the session, and close the stream."""
        if not self._closed:
            super().close()
            self._end_stream(self._executor)

    def _end_stream(self, executor: Executor) -> None:
        stream = executor.streams.take(self._stream)
        if stream is not None:
            stream.close()
