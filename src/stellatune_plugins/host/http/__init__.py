"""HTTP for guests that need no stream."""

from stellatune_plugins.host.http.interface import HttpService, NoHttp

__all__ = ["HttpService", "NoHttp"]
