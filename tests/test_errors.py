"""The failure taxonomy."""

from __future__ import annotations

import contextlib
import re
import threading

import pytest

from stellatune_plugins.errors import (
    GuestTrap,
    ManifestInvalid,
    PluginFailure,
    Problem,
    StellatuneError,
    all_errors,
    hides_interrupt,
)


def test_codes_are_stable_words() -> None:
    """Each class has a code of its own, in small letters and hyphens."""
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda error: error.code)
def test_every_error_says_when_and_what_to_do(error: type[StellatuneError]) -> None:
    """Its docstring starts with `Raised when`, and its hint is not empty."""
    assert (error.__doc__ or "").startswith("Raised when")
    assert error.default_hint


def test_the_outer_layer_fills_in_what_the_inner_did_not_know() -> None:
    """What is known stays."""
    error = GuestTrap("trapped", operation="dsp.create").at(plugin="a.b", component="main", operation="render")
    assert (error.plugin, error.component, error.operation) == ("a.b", "main", "dsp.create")
    assert str(error) == "trapped, in plugin a.b (component main) during dsp.create"


def test_a_manifest_error_has_every_problem() -> None:
    """As fields and as text."""
    error = ManifestInvalid([Problem("id", "is empty"), Problem("components[0].path", "leaves the package")])
    assert "id: is empty; components[0].path: leaves the package" in str(error)
    assert [problem["path"] for problem in error.to_dict()["details"]["problems"]] == ["id", "components[0].path"]


def test_a_plugins_answer_keeps_its_case() -> None:
    """Callers decide on it."""
    error = PluginFailure("unsupported", "no surround")
    assert error.case == "unsupported"
    assert error.to_dict()["message"] == "unsupported: no surround"


def test_an_error_that_hides_an_interrupt_is_known() -> None:
    """Ctrl-C inside a queue's wait comes out as an error about its lock; one that was dealt with does not count."""

    def interrupted() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            threading.Lock().release()

    with pytest.raises(RuntimeError) as caught:
        interrupted()
    assert hides_interrupt(caught.value)
    with contextlib.suppress(KeyboardInterrupt):
        raise KeyboardInterrupt
    assert not hides_interrupt(RuntimeError("a later one"))
