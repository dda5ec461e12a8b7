"""Text that a guest wrote, made safe to show."""

from __future__ import annotations

import unicodedata

MAX_MESSAGE = 500
"""Characters of a guest's message that are kept."""


def clean(text: str, limit: int = MAX_MESSAGE) -> str:
    """One line without control, format and private characters: those could rewrite a terminal or forge a log line."""
    # Categories C*: control, format (bidirectional overrides too), surrogate, private, unassigned; Zl, Zp: line ends.
    kept = "".join(" " if _hidden(c) else c for c in text[: limit + 1]).strip()
    return kept if len(text) <= limit else f"{kept[:limit]}…"


def clean_lines(text: str, limit: int) -> str:
    """The same for a text of several lines: line ends and tabs stay."""
    cut = text[: limit + 1].replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c if c in "\n\t" or not _hidden(c) else " " for c in cut)
    return kept if len(text) <= limit else f"{kept[:limit]}…"


def _hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in {"Zl", "Zp"}
