"""One file a world: how its instances are made, called and ended."""

from stellatune_plugins.executor.worlds.table import CapabilityInstance, InstanceMaker, maker_for, serves_world

__all__ = ["CapabilityInstance", "InstanceMaker", "maker_for", "serves_world"]
