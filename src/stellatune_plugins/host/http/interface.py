"""The interface ``http-client`` as plain Python."""

from __future__ import annotations

from typing import NoReturn, Protocol

from stellatune_plugins.errors import PluginFailure


class HttpService(Protocol):
    """Fetches for one plugin; answers an error by raising a ``PluginFailure`` with the case to answer."""

    def fetch_json(self, url: str) -> str:
        """The body of a GET, which is JSON for certain."""
        ...


class NoHttp:
    """Denies everything."""

    def fetch_json(self, url: str) -> NoReturn:  # noqa: ARG002 - the service's signature
        raise PluginFailure("denied", "HTTP is not available")
