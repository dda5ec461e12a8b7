"""Whether bytes are one JSON text (RFC 8259) that a guest's parser can take. Built in linear time, without the tree."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import numpy as np

from stellatune_plugins.errors import PluginFailure

MAX_NESTING: Final = 128
"""Levels. Recursive parsers of guests have small stacks."""

_BOM: Final = b"\xef\xbb\xbf"
# Possessive, so that the time is linear for any text.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_STEPS: Final = np.zeros(256, dtype=np.int8)
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1


def json_text(body: bytes) -> str:
    """The text, without a byte order mark.

    JSON between systems is UTF-8; a ``charset`` in the content type has no meaning for it.

    Raises:
        PluginFailure: ``io``, where it is anything else.
    """
    body = body.removeprefix(_BOM)
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused("it is UTF-16, not UTF-8")
    try:
        text = body.decode("utf-8")
        msgspec.json.decode(body, type=msgspec.Raw)
    except UnicodeDecodeError as error:
        raise _refused(f"it is not UTF-8, from byte {error.start} on") from error
    except msgspec.DecodeError as error:
        raise _refused(str(error)) from error
    except RecursionError as error:
        raise _too_deep() from error
    if nesting(body) > MAX_NESTING:
        raise _too_deep()
    return text


def nesting(body: bytes) -> int:
    """How deep valid JSON is nested."""
    steps = _STEPS[np.frombuffer(_STRING.sub(b"", body), dtype=np.uint8)]
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def _refused(why: str) -> PluginFailure:
    return PluginFailure("io", f"the answer is no JSON: {why}")


def _too_deep() -> PluginFailure:
    return PluginFailure("io", f"the answer's JSON is nested more than {MAX_NESTING} levels deep")
