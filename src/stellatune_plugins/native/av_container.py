"""Opening containers with FFmpeg's demuxers: which ones, and for which names."""

from __future__ import annotations

from typing import Any, Final

import av

from stellatune_plugins.errors import InputUnreadable
from stellatune_plugins.native.streams import StreamFile

_READ_BYTES: Final = 1 << 17
EXT_SCORES: Final = {
    **dict.fromkeys(("flac", "mp3", "m4a", "m4b", "aac", "ogg", "oga", "opus", "wav", "wave", "aif", "aiff"), 100),
    **dict.fromkeys(("aifc", "alac", "caf", "wv", "ape", "wma", "tta", "tak", "mpc", "w64", "rf64", "au", "snd"), 90),
    **dict.fromkeys(("ac3", "eac3", "dts", "mka", "mp2", "dsf", "dff", "amr", "spx", "shn", "voc"), 80),
    **dict.fromkeys(("mp4", "webm", "mkv", "mov", "3gp"), 50),
}
_DEMUXERS: Final = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,iff,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpc,mpc8,mpeg,mpegts,ogg,rm,shn,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
"""What may be probed. Playlists and the like are left out: they would make the library open other files and hosts."""
_DEMUXER_OF: Final = {
    "mp3": "mp3",
    "aac": "aac",
    "flac": "flac",
    "ac3": "ac3",
    "wav": "wav",
    "ogg": "ogg",
    "opus": "ogg",
}


def open_audio(file: StreamFile, ext_hint: str, name: str) -> tuple[Any, Any]:
    """Open a container and choose its audio track.

    Args:
        file: the data.
        ext_hint: lower case, may be empty; counts only where the data is too short to be recognised.
        name: of the input, for messages.

    Returns:
        PyAV's container and stream.

    Raises:
        InputUnreadable: it is no audio that FFmpeg reads.
    """
    try:
        return _open(file, None, name)
    except InputUnreadable:
        demuxer = _DEMUXER_OF.get(ext_hint)
        if demuxer is None or not file.seekable():
            raise
        file.seek(0)
        return _open(file, demuxer, name)


def reason_of(error: Exception) -> str:
    """FFmpeg's words for an error, without its numbers."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _open(file: StreamFile, demuxer: str | None, name: str) -> tuple[Any, Any]:
    container: Any = None
    try:
        container = av.open(
            file,
            mode="r",
            format=demuxer,
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
            container_options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"},
        )
        audio: Any = container.streams.best("audio")
    except (av.FFmpegError, OSError, ValueError) as error:
        file.check()
        message = f"{name} is no audio that can be read: {reason_of(error)}"
        raise InputUnreadable(message, operation="decoder.open") from error
    if audio is None or audio.codec_context is None:
        container.close()
        file.check()
        raise InputUnreadable(f"{name} has no audio track that can be decoded", operation="decoder.open")
    return container, audio
