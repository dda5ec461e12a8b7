"""Archives inside a package: an honest one has none, and a hostile one hides its payload from every check."""

from __future__ import annotations

import re

HEAD_BYTES = 512
"""How much of a file's beginning is looked at."""

_NAMES = re.compile(
    r".*\.(zip|zipx|jar|war|ear|apk|aar|whl|egg|nupkg|crx|xpi|tar(\.[a-z0-9]+)?|tgz|tbz2?|txz|tlz|tzst|gz|bz2|xz|lzma|lz4"
    r"|zst|br|z|7z|rar|cab|msi|iso|dmg|deb|rpm|cpio|arj|lzh|a|squashfs|appimage)",
    re.IGNORECASE | re.DOTALL,
)
_MAGICS = (
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"PK\x07\x08"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x1f\x8b\x08"),
    (0, b"\xfd7zXZ\x00"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"\x04\x22\x4d\x18"),
    (0, b"MSCF\x00\x00\x00\x00"),
    (0, b"!<arch>\n"),
    (0, b"\xed\xab\xee\xdb"),
    (0, b"070701"),
    (0, b"hsqs"),
    (257, b"ustar"),
)
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")


def is_archive_name(path: str) -> bool:
    """Whether a file calls itself an archive."""
    return _NAMES.fullmatch(path.rpartition("/")[2]) is not None


def is_archive_head(head: bytes) -> bool:
    """Whether a file begins like an archive; ``head`` is its first :data:`HEAD_BYTES` bytes, or all of it."""
    return any(head[at : at + len(magic)] == magic for at, magic in _MAGICS) or _BZIP2.match(head) is not None
