"""Text for a person's terminal. Whatever plugins, files and their names bring is hostile until it went through here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Control characters could drive the terminal; bidirectional and zero-width marks could make a line read as another.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def printable(text: object) -> str:
    """The text on one line, with everything that steers a terminal written out as an escape."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def size(count: float) -> str:
    """Bytes for a person: ``12.3 MiB``."""
    step = 0
    while count >= 1024 and step < len(_SIZES) - 1:
        count /= 1024
        step += 1
    return f"{count:.0f} {_SIZES[step]}" if step == 0 or count >= 100 else f"{count:.1f} {_SIZES[step]}"


def duration(seconds: float) -> str:
    """Seconds for a person: ``0.42 s``, ``12.3 s``, ``3:05``, ``1:02:03``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: frozenset[int] = frozenset()) -> str:
    """Columns aligned by spaces, the same on a terminal and in a pipe; ``right`` names the right-aligned ones."""
    lines = [tuple(head), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(_padded(line[i], widths[i], i in right) for i in range(len(head))).rstrip() for line in lines
    )


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide letters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _padded(text: str, width: int, to_right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if to_right else text + space
