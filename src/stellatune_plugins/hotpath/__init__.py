"""Hot-path modules and the fused chain."""

from stellatune_plugins.hotpath.chain import FusedChain
from stellatune_plugins.hotpath.layout import Mapping
from stellatune_plugins.hotpath.settings import HotPathSettings
from stellatune_plugins.hotpath.stage import HotStage

__all__ = ["FusedChain", "HotPathSettings", "HotStage", "Mapping"]
