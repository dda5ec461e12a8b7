"""Events, hooks and logs. Every layer emits; none depends on a backend."""

from stellatune_plugins.observe.bus import EventBus, Hook
from stellatune_plugins.observe.events import Event
from stellatune_plugins.observe.logs import JsonLog, PluginLogs

__all__ = ["Event", "EventBus", "Hook", "JsonLog", "PluginLogs"]
