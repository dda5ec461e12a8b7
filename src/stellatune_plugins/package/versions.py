"""Which of two versions is the newer one.

The contract asks only that a version is not empty, so the order is tolerant: semantic versions (semver.org, section
11) with any number of numeric parts, an optional leading ``v``, and ``+build`` ignored; a version that is none of
these is older than every one that is, and among its like compares by its runs of digits and text.
"""

from __future__ import annotations

import re

_SEMANTIC = re.compile(r"[vV]?(\d{1,18}(?:\.\d{1,18})*)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", re.ASCII | re.DOTALL)
_RUNS = re.compile(r"\d+|\D+", re.ASCII)

_Identifier = tuple[int, int, str]
_Key = tuple[int, tuple[int, ...], int, tuple[_Identifier, ...]]


def compare_versions(left: str, right: str) -> int:
    """Negative where ``left`` is older, positive where it is newer, 0 where neither is."""
    a, b = _key(left), _key(right)
    return (a > b) - (a < b)


def _key(version: str) -> _Key:
    match = _SEMANTIC.fullmatch(version.strip())
    if match is None:
        return (0, (), 0, tuple(_identifier(run) for run in _RUNS.findall(version.strip())))
    release = [int(part) for part in match[1].split(".")]
    while release and release[-1] == 0:  # 1.0 and 1.0.0 are one version
        release.pop()
    if match[2] is None:
        return (1, tuple(release), 1, ())
    return (1, tuple(release), 0, tuple(_identifier(part) for part in match[2].split(".")))


def _identifier(part: str) -> _Identifier:
    """Numeric identifiers are older than others; a long digit run compares by length first, without a conversion."""
    if part.isascii() and part.isdigit():
        digits = part.lstrip("0")
        return (0, len(digits), digits)
    return (1, 0, part)
