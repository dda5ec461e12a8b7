"""``http-client`` for one plugin."""

from __future__ import annotations

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Cancel, Deadline
from stellatune_plugins.host.egress import ConnectionLost, WebClient, WebRequest, check_status, parse_url
from stellatune_plugins.host.http.body import ACCEPTED, read_body
from stellatune_plugins.host.http.json_text import json_text
from stellatune_plugins.host.timeouts import HostTimeouts


class JsonFetcher:
    """Fetches JSON through the egress guard.

    Args:
        client: HTTP through the plugin's guard.
        timeouts: of everything.
    """

    def __init__(self, client: WebClient, timeouts: HostTimeouts) -> None:
        self._client = client
        self._timeouts = timeouts
        self._cancel = Cancel()

    def fetch_json(self, url: str) -> str:
        """The body of a GET, which is JSON for certain.

        Raises:
            PluginFailure: any case.
        """
        address = parse_url(url)
        deadline = Deadline(self._timeouts.fetch, f"fetching from {address.site}", self._cancel)
        headers = {"accept": "application/json", "accept-encoding": ACCEPTED}
        request = WebRequest(method="GET", url=address, headers=headers)
        try:
            exchange = self._client.request(request, self._timeouts.connect, deadline)
            try:
                check_status(exchange)
                body = read_body(exchange, deadline)
            finally:
                exchange.close()
        except ConnectionLost as lost:
            raise lost.failure() from lost
        if not body.strip():
            raise PluginFailure("io", f"{address.site} answered with nothing")
        return json_text(body)

    def close(self) -> None:
        """End what is under way; nothing is fetched any more."""
        self._cancel.set()
