"""The effective configuration, and going from one to another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stellatune_plugins.errors import ConfigRejected, GuestTrap
from stellatune_plugins.executor.config import effective_config, reconfigure
from stellatune_plugins.model import ConfigUpdateMode, ConfigUpdatePlan

SCHEMA = json.dumps({
    "type": "object",
    "properties": {
        "gain_db": {"type": "number", "minimum": -96, "maximum": 24},
        "bands": {"type": "array", "items": {"type": "object", "properties": {"q": {"minimum": 0.1}}}},
    },
    "additionalProperties": False,
})  # fmt: skip


def _effective(user: str | None, default: str | None = None, schema: str | None = None) -> Any:
    text = effective_config(user, default_json=default, schema_json=schema, plugin="org.example.a", capability="dsp/a")
    return None if text is None else json.loads(text)


def test_nothing_gives_nothing() -> None:
    """A plugin without defaults and a user without wishes: nothing to apply."""
    assert _effective(None) is None


def test_defaults_stand_alone() -> None:
    """Without wishes the plugin's defaults count."""
    assert _effective(None, '{"a": 1}') == {"a": 1}


def test_the_user_overlays_key_by_key() -> None:
    """What the user names replaces the default whole; the rest stays."""
    assert _effective('{"b": {"x": 2}}', '{"a": 1, "b": {"x": 1, "y": 1}}') == {"a": 1, "b": {"x": 2}}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", "null", '"x"', '{"a": NaN}', '{"a": Infinity}', "[" * 5000, '{"a": ' * 3000]
)
def test_what_is_no_object_is_rejected(text: str) -> None:
    """Text that does not parse, other JSON, and documents that are built to break the parser."""
    with pytest.raises(ConfigRejected) as caught:
        _effective(text)
    assert caught.value.plugin == "org.example.a"


def test_a_large_configuration_is_rejected() -> None:
    """Before it is parsed."""
    with pytest.raises(ConfigRejected, match="more than 65536 bytes"):
        _effective(json.dumps({"a": "x" * 70_000}))


def test_broken_defaults_are_the_plugins_fault() -> None:
    """And the message says so."""
    with pytest.raises(ConfigRejected, match="plugin's default"):
        _effective(None, "{")


@pytest.mark.parametrize(
    ("user", "key"),
    [
        ('{"gain_db": 99}', "gain_db"),
        ('{"gain_db": "loud"}', "gain_db"),
        ('{"bands": [{"q": 1}, {"q": 0}]}', "bands[1].q"),
    ],
)
def test_the_wrong_key_is_named(user: str, key: str) -> None:
    """In the message and in the details."""
    with pytest.raises(ConfigRejected, match=r".") as caught:
        _effective(user, schema=SCHEMA)
    assert caught.value.details["keys"] == [key]
    assert key in caught.value.message


def test_an_unknown_key_is_named() -> None:
    """Where the schema allows no others."""
    with pytest.raises(ConfigRejected, match="gian"):
        _effective('{"gian": 1}', schema=SCHEMA)


def test_all_problems_are_reported_at_once() -> None:
    """So that a user corrects them in one go."""
    with pytest.raises(ConfigRejected) as caught:
        _effective('{"gain_db": 99, "bands": 3}', schema=SCHEMA)
    assert caught.value.details["keys"] == ["bands", "gain_db"]


def test_defaults_alone_are_not_checked() -> None:
    """They are the plugin's own affair, as its code is."""
    assert _effective(None, '{"gain_db": 99}', SCHEMA) == {"gain_db": 99}


def test_an_unusable_schema_blames_the_plugin() -> None:
    """The user cannot correct it, so the hint names who can."""
    with pytest.raises(ConfigRejected, match="cannot be checked") as caught:
        _effective("{}", schema='{"$ref": "http://example.org/schema"}')
    assert "author" in caught.value.hint


class Instance:
    """A configurable that writes down what happens to it."""

    def __init__(self, log: list[str], mode: ConfigUpdateMode, *, fails: bool = False) -> None:
        self.log = log
        self.mode = mode
        self.fails = fails

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        return ConfigUpdatePlan(self.mode, "because")

    def apply_config(self, config_json: str) -> None:
        if self.fails:
            raise GuestTrap("boom")
        self.log.append(f"apply {config_json}")

    def export_state(self) -> str | None:
        return "old state"

    def import_state(self, state_json: str) -> None:
        self.log.append(f"import {state_json}")

    def close(self) -> None:
        self.log.append("close")


def test_hot_apply_keeps_the_instance() -> None:
    """Nothing is made anew."""
    log: list[str] = []
    current = Instance(log, ConfigUpdateMode.HOT_APPLY)
    assert reconfigure(current, lambda: Instance([], ConfigUpdateMode.HOT_APPLY), "{}") is current
    assert log == ["apply {}"]


def test_recreate_hands_the_state_over() -> None:
    """The fresh instance gets state, then configuration; only then the old one ends."""
    log: list[str] = []
    current = Instance(log, ConfigUpdateMode.RECREATE)
    fresh = Instance(log, ConfigUpdateMode.RECREATE)
    assert reconfigure(current, lambda: fresh, "{}") is fresh
    assert log == ["import old state", "apply {}", "close"]


def test_reject_changes_nothing() -> None:
    """The plugin's reason is the message."""
    log: list[str] = []
    with pytest.raises(ConfigRejected, match="because"):
        reconfigure(Instance(log, ConfigUpdateMode.REJECT), lambda: Instance([], ConfigUpdateMode.REJECT), "{}")
    assert log == []


def test_a_failed_successor_leaves_the_old_one_running() -> None:
    """The fresh one is closed, the old one is not."""
    old: list[str] = []
    new: list[str] = []
    with pytest.raises(GuestTrap):
        reconfigure(
            Instance(old, ConfigUpdateMode.RECREATE),
            lambda: Instance(new, ConfigUpdateMode.RECREATE, fails=True),
            "{}",
        )
    assert new == ["import old state", "close"]
    assert old == []
