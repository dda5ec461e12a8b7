"""Lanes: bulk bytes through unmodified components, ten to a hundred times as fast as by ``list<u8>``.

When a component is loaded, a few hundred bytes of adapter code are put behind its last section, and a function at its
root for each function of the contract that carries bytes in bulk. These carry them as strings. Nothing that the
component had is changed or moved, and a component whose layout is not known is left as it is (ADR 0015).
"""

from stellatune_plugins.engine.lanes.attached import attach_lanes, lanes_of
from stellatune_plugins.engine.lanes.codec import LaneCodec
from stellatune_plugins.engine.lanes.graft import INSTANCES, MEMORIES, Graft, Lane, graft_lanes
from stellatune_plugins.engine.lanes.reader import LayoutUnknown

__all__ = [
    "INSTANCES",
    "MEMORIES",
    "Graft",
    "Lane",
    "LaneCodec",
    "LayoutUnknown",
    "attach_lanes",
    "graft_lanes",
    "lanes_of",
]
