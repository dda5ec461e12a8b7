"""The four config and state methods for plugins that have nothing to configure."""

from __future__ import annotations

import json

from stellatune_plugins.errors import ConfigRejected
from stellatune_plugins.model import ConfigUpdateMode, ConfigUpdatePlan


class Unconfigured:
    """Takes an empty configuration only, and has no state."""

    def plan_config(self, config_json: str) -> ConfigUpdatePlan:
        reason = self._objection(config_json)
        return ConfigUpdatePlan(ConfigUpdateMode.REJECT if reason else ConfigUpdateMode.HOT_APPLY, reason)

    def apply_config(self, config_json: str) -> None:
        reason = self._objection(config_json)
        if reason:
            raise ConfigRejected(reason, operation="config.apply")

    def export_state(self) -> str | None:
        return None

    def import_state(self, state_json: str) -> None:  # noqa: ARG002 - the interface's name; there is no state
        raise ConfigRejected("there is no state to take over", operation="state.import")

    @staticmethod
    def _objection(config_json: str) -> str | None:
        try:
            config = json.loads(config_json or "{}")
        except ValueError:
            return "the configuration is no JSON"
        return None if config in ({}, None) else "there is nothing to configure"
