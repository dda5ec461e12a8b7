"""How failures read."""

from __future__ import annotations

import json

import pytest

from stellatune_plugins.cli import failures
from stellatune_plugins.errors import ArchiveRefused, ManifestInvalid, Problem, StellatuneError, all_errors


def test_a_failure_says_what_where_and_what_to_do() -> None:
    """Two lines: ``error[CODE]: what, where`` and ``hint: what to do``."""
    error = ArchiveRefused("a path leaves the package", plugin="dev.example.bad", operation="install")
    assert failures.lines(error).splitlines() == [
        "error[archive-refused]: a path leaves the package, in plugin dev.example.bad during install",
        f"hint: {error.hint}",
    ]


def test_several_problems_stand_on_a_line_each() -> None:
    """A manifest with three breaches is read at one look."""
    error = ManifestInvalid([Problem("id", "is empty"), Problem("components[0].path", "leaves the package")])
    assert failures.lines(error).splitlines()[:3] == [
        "error[manifest-invalid]: plugin.json is not valid: 2 problems",
        "  id: is empty",
        "  components[0].path: leaves the package",
    ]


def test_a_hostile_message_cannot_forge_lines_or_drive_the_terminal() -> None:
    """What a plugin says stands on its line, escaped."""
    error = StellatuneError("x\nerror[usage]: forged\x1b[2J", plugin="p\x1b[31m")
    text = failures.lines(error, colour=False)
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_colours_only_where_asked() -> None:
    """Escape sequences of our own are for terminals."""
    error = StellatuneError("broken")
    assert failures.lines(error, colour=True).startswith("\x1b[1;31merror[internal]\x1b[0m: broken")
    assert "\x1b" not in failures.lines(error)


def test_json_goes_to_standard_output_alone(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A program reads one document, and nothing on standard error."""
    failures.show(ArchiveRefused("no", plugin="dev.example.bad", operation="install"), as_json=True)
    out, err = capfdbinary.readouterr()
    assert err == b""
    error = json.loads(out)["error"]
    assert {k: error[k] for k in ("code", "message", "plugin", "operation")} == {
        "code": "archive-refused",
        "message": "no",
        "plugin": "dev.example.bad",
        "operation": "install",
    }
    assert error["hint"]


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda error: error.__name__)
def test_every_error_has_a_hint_and_a_code_fit_for_print(error: type[StellatuneError]) -> None:
    """No failure leaves its reader alone."""
    assert error.default_hint
    assert error.code == error.code.lower().replace("_", "-")
    assert (error.__doc__ or "").startswith("Raised ")
