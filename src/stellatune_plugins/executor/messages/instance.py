"""What every capability instance understands, and the values that several worlds answer with."""

from __future__ import annotations

import msgspec

from stellatune_plugins.model import ConfigUpdatePlan, CoreModuleSpec


class PlanConfig(msgspec.Struct, frozen=True, tag="config.plan"):
    """Answered by :class:`Plan`."""

    config_json: str


class ApplyConfig(msgspec.Struct, frozen=True, tag="config.apply"):
    """Answered by :class:`Nothing`. The executor keeps the last one that was taken, for recovery."""

    config_json: str


class ExportState(msgspec.Struct, frozen=True, tag="state.export"):
    """Answered by :class:`Text`. The executor keeps the last one, for recovery."""


class ImportState(msgspec.Struct, frozen=True, tag="state.import"):
    """Answered by :class:`Nothing`."""

    state_json: str


ConfigRequest = PlanConfig | ApplyConfig | ExportState | ImportState


class Nothing(msgspec.Struct, frozen=True, tag="nothing"):
    """The call succeeded and has no result."""


class Number(msgspec.Struct, frozen=True, tag="number"):
    """A count or a set of bits."""

    value: int


class Plan(msgspec.Struct, frozen=True, tag="plan"):
    """How the instance would take a configuration."""

    plan: ConfigUpdatePlan


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A text, or none."""

    text: str | None


class HotPath(msgspec.Struct, frozen=True, tag="hot-path"):
    """The core module's description, if there is one."""

    spec: CoreModuleSpec | None


CommonValue = Nothing | Number | Plan | Text | HotPath
