"""Types that all rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

import stellatune_plugins.contract
import stellatune_plugins.model
from stellatune_plugins.model import HOME_VARIABLE, AbilityKind, Home, Layouts


@pytest.mark.parametrize("package", [stellatune_plugins.model, stellatune_plugins.contract])
def test_the_front_door_has_what_it_names(package: object) -> None:
    """Every name of `__all__` is there."""
    for name in getattr(package, "__all__"):  # noqa: B009 - mypy knows no such attribute of a module
        assert hasattr(package, name)


@pytest.mark.parametrize(
    ("bits", "channels"), [(1, {1}), (2, {2}), (3, {1, 2}), (4, {6}), (8, {8}), (15, {1, 2, 6, 8}), (0, set())]
)
def test_layout_bits_mean_channel_counts(bits: int, channels: set[int]) -> None:
    """A count without a bit fits nowhere but in `any`."""
    assert {n for n in range(1, 20) if Layouts(bits).supports(n)} == channels


def test_all_ones_support_anything() -> None:
    """Even seven channels."""
    assert all(Layouts(0xFFFFFFFF).supports(n) for n in range(1, 65))


def test_kinds_are_written_as_in_the_field() -> None:
    """With an underscore in manifests and a hyphen in WIT."""
    assert AbilityKind.OUTPUT_SINK.manifest_name == "output_sink"
    assert AbilityKind.OUTPUT_SINK.world_name == "output-sink-plugin"


def test_the_home_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option comes before the variable, and nothing is created."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "variable"))
    assert Home.resolve(tmp_path / "option").root == tmp_path / "option"
    assert Home.resolve().root == tmp_path / "variable"
    assert not list(tmp_path.iterdir())
