"""From a path to decoded blocks: which decoder, and where the music starts and ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stellatune_plugins.contract.capabilities import ByteStream, Decoder, DecoderSession
from stellatune_plugins.errors import InputUnreadable, StellatuneError
from stellatune_plugins.model import Block, Frames
from stellatune_plugins.native.streams import FileByteStream


class RankedDecoders:
    """Several decoders as one: the best score for the extension first, then whichever opens the data.

    Args:
        decoders: in the order that decides between equal scores.
        spare: asked for extensions that none of the others takes, and only then.
    """

    def __init__(self, decoders: Sequence[Decoder], spare: Sequence[Decoder] = ()) -> None:
        self._decoders = tuple(decoders)
        self._spare = tuple(spare)

    def ext_scores(self) -> Mapping[str, int]:
        scores: dict[str, int] = {}
        for decoder in self._decoders:
            for ext, score in decoder.ext_scores().items():
                scores[ext] = max(score, scores.get(ext, score))
        for decoder in self._spare:
            for ext, score in decoder.ext_scores().items():
                scores.setdefault(ext, score)
        return scores

    def wildcard_score(self) -> int | None:
        for some in (self._decoders, self._spare):
            scores = [score for d in some if (score := d.wildcard_score()) is not None]
            if scores:
                return max(scores)
        return None

    def ranked(self, ext: str | None) -> list[Decoder]:
        """Who is asked, in which order."""
        return _ranked(self._decoders, ext) or _ranked(self._spare, ext)

    def open(self, stream: ByteStream, ext_hint: str | None) -> DecoderSession:
        """Open with the first decoder that can.

        Raises:
            InputUnreadable: none can; ``details['decoders']`` has what each said.
        """
        ext = ext_hint.lower() if ext_hint else None
        lent = _Lent(stream)
        said: list[str] = []
        first: StellatuneError | None = None
        try:
            for decoder in self.ranked(ext):
                try:
                    lent.seek(0)
                    session = decoder.open(lent, ext)
                except StellatuneError as error:
                    said.append(str(error))
                    first = first or error
                else:
                    lent.given_away = True
                    return session
        finally:
            if not lent.given_away:
                stream.close()
        if first is not None and len(said) == 1:
            raise first
        message = (
            "no decoder can read the input" if said else f"no decoder takes {ext or 'inputs without an extension'}"
        )
        raise InputUnreadable(message, operation="input.open", decoders=said) from first


def _ranked(decoders: Sequence[Decoder], ext: str | None) -> list[Decoder]:
    scored = [(score, d) for d in decoders if (score := score_of(d, ext)) is not None]
    return [decoder for _, decoder in sorted(scored, key=lambda pair: -pair[0])]


def score_of(decoder: Decoder, ext: str | None) -> int | None:
    """How well a decoder takes an extension; ``None`` for not at all."""
    score = decoder.ext_scores().get(ext) if ext else None
    return decoder.wildcard_score() if score is None else score


def open_input(path: str | Path, decoder: Decoder) -> DecoderSession:
    """Open a file.

    Raises:
        InputUnreadable: it is missing, or no audio.
    """
    path = Path(path)
    stream = FileByteStream(path)
    try:
        return decoder.open(stream, path.suffix[1:].lower() or None)
    except StellatuneError as error:
        stream.close()
        if isinstance(error, InputUnreadable):
            raise InputUnreadable(
                f"{path}: {error.message}", plugin=error.plugin, operation=error.operation, **error.details
            ) from error
        raise
    except BaseException:
        stream.close()
        raise


def music_of(session: DecoderSession, batch: Frames) -> Iterator[Block]:
    """The blocks of a track without the encoder's delay and padding, as ``info`` states them."""
    info = session.info()
    skip: int = info.encoder_delay
    hold: int = info.encoder_padding
    held: list[Block] = []
    held_frames = 0
    eof = False
    while not eof:
        chunk = session.read_pcm(batch)
        block, eof = chunk.block, chunk.eof
        if skip:
            dropped = min(skip, len(block))
            skip -= dropped
            block = block[dropped:]
        if not len(block):
            continue
        if not hold:
            yield block
            continue
        held.append(block)
        held_frames += len(block)
        while held and held_frames - len(held[0]) >= hold:
            held_frames -= len(held[0])
            yield held.pop(0)
    spare = held_frames - hold
    for block in held:
        if spare > 0:
            yield block[:spare]
            spare -= len(block)


class _Lent:
    """A stream that survives the ``close`` of a decoder that could not open it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._opener = threading.get_ident()
        self.given_away = False

    def read(self, max_bytes: int) -> bytes:
        return self._stream.read(max_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def size(self) -> int | None:
        return self._stream.size()

    def close(self) -> None:
        # Another thread closes it to end a read that waits: then there is no next decoder either.
        if self.given_away or threading.get_ident() != self._opener:
            self._stream.close()
