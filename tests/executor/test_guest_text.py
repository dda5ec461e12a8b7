"""A guest's text is harmless to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.executor.guest_text import MAX_MESSAGE, clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J\x1b[31mred", "[2J [31mred"),
        ("two\r\nlines", "two  lines"),
        ("left\u202eright", "left right"),
        ("next\u2028line", "next line"),
        ("nul\x00", "nul"),
        ("Ärger über Größe", "Ärger über Größe"),
    ],
)
def test_what_could_deceive_becomes_a_space(text: str, shown: str) -> None:
    """Escape sequences, line ends and direction marks do not reach a terminal."""
    assert clean(text) == shown


def test_a_long_text_is_cut() -> None:
    """And says so."""
    cut = clean("x" * 100_000)
    assert len(cut) == MAX_MESSAGE + 1
    assert cut.endswith("…")


@given(st.text(max_size=600))
def test_no_text_keeps_a_control_character(text: str) -> None:
    """Whatever comes in."""
    shown = clean(text)
    assert len(shown) <= MAX_MESSAGE + 1
    assert not any(unicodedata.category(c)[0] == "C" for c in shown)
