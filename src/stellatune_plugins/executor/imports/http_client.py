"""The ``http-client`` interface as guests import it."""

from __future__ import annotations

from typing import Final

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor.imports.answers import Answering
from stellatune_plugins.executor.names import HTTP_CLIENT
from stellatune_plugins.host.http import HttpService

MAX_BODY: Final = 16 * 1024 * 1024
"""Characters that cross the boundary at most; the service has a lower limit of its own."""


def add_http_client(imports: HostImports, service: HttpService, answering: Answering) -> None:
    """Define the whole interface for one instance."""

    def fetch_json(url: str) -> str:
        body = service.fetch_json(url)
        if len(body) > MAX_BODY:
            raise PluginFailure("io", "the answer is too long")
        return body

    imports.add(HTTP_CLIENT, "fetch-json", answering(fetch_json))
