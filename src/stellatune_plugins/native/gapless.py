"""Where the music starts and ends inside the decoded samples.

libavformat already drops the encoder's delay for every container that states it (LAME and Xing headers, MP4 edit
lists, ``iTunSMPB``, the pre-skip of Opus, Matroska's CodecDelay), and the padding for MP3, Ogg and Matroska, by
"skip samples" side data that the decoder obeys. It does not drop the padding in MP4: there the end is known from the
``iTunSMPB`` tag, the edit list or the last packet's duration, and is applied here. Measured with PyAV 18.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_SMPB: Final = re.compile(
    r"\s*[0-9A-Fa-f]{1,8}\s+(?P<delay>[0-9A-Fa-f]{1,8})\s+(?P<padding>[0-9A-Fa-f]{1,8})\s+(?P<total>[0-9A-Fa-f]{1,16})"
)
_SHORTEST_TICK: Final = 600
"""Edit lists count in the movie's time scale, 600 a second or finer in practice."""


class SmpbTag(NamedTuple):
    """Apple's gapless tag: frames before, behind, and of the music itself."""

    delay: int
    padding: int
    total: int


def itunes_gapless(tags: Mapping[str, str]) -> SmpbTag | None:
    """The ``iTunSMPB`` tag, if there is one that makes sense."""
    for key, value in tags.items():
        if key.lower() == "itunsmpb" and (match := _SMPB.match(value)):
            tag = SmpbTag(*(int(match[name], 16) for name in ("delay", "padding", "total")))
            return tag if tag.total > 0 and tag.delay < 1 << 16 and tag.padding < 1 << 16 else None
    return None


class Mp4End:
    """Counts how many frames of an MP4 track are music.

    Args:
        rate: frames a second as decoded.
        edit_end_s: end of the edit list in seconds, 0 being the first frame of music; ``None`` where unknown.
        tag: the file's ``iTunSMPB`` tag.
    """

    def __init__(self, rate: int, edit_end_s: float | None, tag: SmpbTag | None) -> None:
        self._rate = rate
        self._edit_end = None if edit_end_s is None else round(edit_end_s * rate)
        self._tag = tag

    def frames(self, decoded: int, last_frame: int, last_duration_s: float | None) -> int:
        """The music's end.

        Args:
            decoded: frames decoded up to the end of the data.
            last_frame: frames in the last codec frame.
            last_duration_s: that frame's duration as the container states it, in seconds.
        """
        if self._tag is not None and self._tag.total <= decoded <= self._tag.total + self._tag.padding + last_frame:
            return self._tag.total
        end = decoded
        if last_duration_s is not None:
            stated = round(last_duration_s * self._rate)
            if 0 < stated < last_frame:
                end = decoded - last_frame + stated
        # A muxer that cut the last packet knows the end to the frame; the edit list is rounded to its coarser clock.
        slack = 0 if end == decoded else self._rate // _SHORTEST_TICK + 1
        if self._edit_end is not None and 0 < self._edit_end < end - slack:
            end = self._edit_end
        return end
