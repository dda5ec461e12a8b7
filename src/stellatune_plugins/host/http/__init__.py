"""HTTP for guests that need no stream."""

from stellatune_plugins.host.http.interface import HttpService, NoHttp
from stellatune_plugins.host.http.service import JsonFetcher

__all__ = ["HttpService", "JsonFetcher", "NoHttp"]
