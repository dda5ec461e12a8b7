"""The native runtime: plugins found through entry points, and the ones that come with the host."""

from stellatune_plugins.native.records import NativePlugin, NativePluginUnavailable, NativeStatus
from stellatune_plugins.native.runtime import GROUPS, NativeRuntime

__all__ = ["GROUPS", "NativePlugin", "NativePluginUnavailable", "NativeRuntime", "NativeStatus"]
