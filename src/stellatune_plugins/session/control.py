"""Changing a stage while the music plays."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Protocol

from stellatune_plugins.contract import DspProcessor
from stellatune_plugins.errors import ConfigRejected, StellatuneError, UsageError
from stellatune_plugins.hotpath import FusedChain
from stellatune_plugins.model import ConfigUpdateMode, ConfigUpdatePlan
from stellatune_plugins.session.host_stage import HostStage

_log = logging.getLogger(__name__)


class StageControl(Protocol):
    """What can be done to one stage between two blocks."""

    def configure(self, config_json: str) -> None:
        """Give the stage another configuration, laid over the plugin's defaults, without a click.

        Raises:
            ConfigRejected: schema or plugin refuse it; the old one is still in force.
        """
        ...

    def bypass(self) -> None:
        """Fade it out."""
        ...

    def engage(self) -> None:
        """Fade it in again."""
        ...


def _refuse(plan: ConfigUpdatePlan) -> None:
    if plan.mode is ConfigUpdateMode.REJECT:
        raise ConfigRejected(plan.reason or "the plugin refuses this configuration", operation="config.plan")


@dataclasses.dataclass(slots=True)
class HotControl:
    """A stage of the fused chain, and the component that speaks for it.

    ``config_json`` is the effective configuration that both have.
    """

    fused: FusedChain
    position: int
    processor: DspProcessor
    effective: Callable[[str], str]
    config_json: str

    def configure(self, config_json: str) -> None:
        config = self.effective(config_json)
        _refuse(self.processor.plan_config(config))
        self.processor.apply_config(config)
        try:
            self.fused.configure(self.position, config)
        except BaseException:
            self._take_back()
            raise
        self.config_json = config

    def _take_back(self) -> None:
        """Let the component have what the stage still has."""
        try:
            self.processor.apply_config(self.config_json)
        except StellatuneError as error:  # what went wrong before is what the caller is to hear
            _log.warning("a component could not be given its old configuration back: %s", error)

    def bypass(self) -> None:
        self.fused.bypass(self.position)

    def engage(self) -> None:
        self.fused.engage(self.position)


@dataclasses.dataclass(frozen=True, slots=True)
class HostControl:
    """A stage that the host calls.

    ``remember`` tells its maker what the next processors are to be made with, and gives what it was told before.
    """

    stage: HostStage
    effective: Callable[[str], str]
    remember: Callable[[str | None], str | None]

    def configure(self, config_json: str) -> None:
        config = self.effective(config_json)
        plan = self.stage.plan_config(config)
        _refuse(plan)
        if plan.mode is ConfigUpdateMode.HOT_APPLY:
            self.stage.apply_config(config)
            self.remember(config_json)
            return
        before = self.remember(config_json)  # for the processors that are made now
        try:
            self.stage.remake(config)
        except BaseException:
            self.remember(before)
            raise

    def bypass(self) -> None:
        self.stage.bypass()

    def engage(self) -> None:
        self.stage.engage()


@dataclasses.dataclass(frozen=True, slots=True)
class AbsentControl:
    """A stage whose plugin could not be started."""

    plugin: str

    def configure(self, config_json: str) -> None:  # noqa: ARG002 - there is nothing to give it to
        raise self._refusal("configure")

    def bypass(self) -> None:
        """It is out already."""

    def engage(self) -> None:
        raise self._refusal("engage")

    def _refusal(self, operation: str) -> UsageError:
        return UsageError(
            "the stage could not be started",
            plugin=self.plugin,
            operation=operation,
            hint="make a new chain once the plugin is mended",
        )
