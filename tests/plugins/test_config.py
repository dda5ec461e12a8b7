"""Configuration: the manifest's schema and the plugin's own tables agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.random import default_rng

MakeTwin = Callable[..., Any]


ROOT = Path(__file__).resolve().parents[2]
NAMES = ["crossfeed", "gain", "limiter", "parametric-eq", "reverb"]


def ability(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema's properties and the default configuration."""
    data = json.loads((ROOT / "plugins" / name / "manifest.json").read_text("utf-8"))
    (found,) = data["components"][0]["abilities"]
    return found["config_schema"]["properties"], found["default_config"]


@pytest.mark.parametrize("name", NAMES)
def test_defaults_of_the_manifest_are_the_plugin_s(twin: MakeTwin, name: str) -> None:
    """A fresh plugin exports exactly the manifest's default configuration."""
    assert twin(name).state() == ability(name)[1]


@pytest.mark.parametrize("name", NAMES)
def test_ranges_of_the_schema_are_the_plugin_s(twin: MakeTwin, name: str) -> None:
    """Each number is taken at both ends of its range and refused beyond, with its key in the message."""
    properties, _ = ability(name)
    cases: list[tuple[str, Any, str | None]] = [(key, rule, None) for key, rule in properties.items()]
    if "bands" in properties:
        cases += [(key, rule, "bands") for key, rule in properties["bands"]["items"]["properties"].items()]
    one = twin(name)
    for key, rule, inside in cases:
        if rule["type"] != "number":
            continue
        low, high = rule["minimum"], rule["maximum"]
        for value, taken in ((low, True), (high, True), (low - 1e-3, False), (high + 1e-3, False)):
            config: dict[str, Any] = {inside: [{key: value}]} if inside else {key: value}
            assert one.config(config) is taken, (key, value)
            if not taken:
                assert key in one.error()


@pytest.mark.parametrize("name", NAMES)
def test_exported_state_reads_back_as_itself(twin: MakeTwin, name: str) -> None:
    """Export, import, export gives the same configuration, for odd numbers too."""
    properties, _ = ability(name)
    random = default_rng(7)
    numbers = {k: r for k, r in properties.items() if r["type"] == "number"}
    config: dict[str, Any] = {k: random.uniform(r["minimum"], r["maximum"]) for k, r in numbers.items()}
    if "bands" in properties:
        config["bands"] = [{"type": "notch", "freq_hz": random.uniform(20, 9000), "q": random.uniform(1, 9)}] * 10
    first, second = twin(name, config=config), twin(name)
    state = first.state()
    assert second.config(state)
    assert second.state() == state
    for key in numbers:
        assert state[key] == pytest.approx(config[key], abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "{}", "null", '{"unknown": [1, {"a": null}]}', " { } "])
def test_missing_and_unknown_keys_mean_defaults(twin: MakeTwin, name: str, text: str) -> None:
    """What is not said is the default, and what is not known is let be."""
    one = twin(name)
    assert one.config(text)
    assert one.state() == ability(name)[1]


@pytest.mark.parametrize(
    "text", ["{", "[]", "1", '{"gain_db": 1,}', '{"gain_db": "1"}', '{"gain_db": 01}', '{"mute": 1}']
)
def test_bad_text_is_refused_and_the_old_stays(twin: MakeTwin, text: str) -> None:
    """A configuration that is refused leaves the one before in force."""
    one = twin("gain", config={"gain_db": -6.5})
    assert not one.config(text)
    assert one.error()
    assert one.state()["gain_db"] == -6.5


@pytest.mark.parametrize("name", NAMES)
def test_specs_outside_the_limits_are_refused(twin: MakeTwin, name: str) -> None:
    """No stream is made for a rate or a channel count that the plugin does not serve."""
    for rate, channels in ((7999, 2), (192001, 2), (44100, 0), (44100, 9)):
        assert not twin(name, rate, channels).context
    for channels, bit in ((1, 1), (2, 2), (6, 4), (8, 8)):
        one = twin(name, 44100, channels)
        assert bool(one.context) is bool(one.lib.st_twin_supported_layouts() & bit)
