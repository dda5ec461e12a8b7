"""Text for terminals."""

from __future__ import annotations

import pytest

from stellatune_plugins.cli.text import duration, printable, size, table


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J",
        "\x1b]0;title\x07",
        "a\rb",
        "a\nb",
        "\x9b31m",
        "\u202egnp.exe",
        "\u200b",
        "\x7f",
        "\ud800",
        "\u2066x\u2069",
    ],
)
def test_nothing_steers_the_terminal(hostile: str) -> None:
    """Control characters, line ends and invisible marks become visible escapes on one line."""
    shown = printable(hostile)
    assert shown.isprintable()
    assert "\\u" in shown


def test_honest_text_stays() -> None:
    """Letters of any script, signs and spaces are left alone."""
    assert printable("Für Elise — エリーゼ 🎹 [bold]") == "Für Elise — エリーゼ 🎹 [bold]"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (12_900_000, "12.3 MiB"), (2**40 * 5000, "5000 TiB")],
)
def test_sizes(count: int, shown: str) -> None:
    """Binary units, three digits or so."""
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.421, "0.42 s"), (12.34, "12.3 s"), (185, "3:05"), (59.99, "60.0 s"), (3723, "1:02:03")],
)
def test_durations(seconds: float, shown: str) -> None:
    """Seconds while they are few, then clock time."""
    assert duration(seconds) == shown


def test_a_table_lines_up() -> None:
    """Columns are as wide as their widest cell; hostile cells do not break a row."""
    text = table(["NAME", "SIZE"], [["a\nb", 5], ["long name", 12345]], right=frozenset({1}))
    assert text.splitlines() == ["NAME        SIZE", "a\\u000ab       5", "long name  12345"]


def test_wide_letters_take_two_columns() -> None:
    """A name in Japanese does not push its row out of line."""
    text = table(["A", "B"], [["音", "x"], ["abc", "y"]])
    assert text.splitlines()[1:] == ["音   x", "abc  y"]
