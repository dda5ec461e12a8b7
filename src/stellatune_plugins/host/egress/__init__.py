"""The egress guard: what of the network a guest reaches, decided in one place, and HTTP through it."""

from stellatune_plugins.host.egress.addresses import Reach, Verdict, judge
from stellatune_plugins.host.egress.exchange import Exchange, WebClient, WebRequest, check_status
from stellatune_plugins.host.egress.failures import ConnectionLost
from stellatune_plugins.host.egress.guard import EgressGuard
from stellatune_plugins.host.egress.headers import checked_headers
from stellatune_plugins.host.egress.interface import Connector, EgressAuthority, Resolver
from stellatune_plugins.host.egress.pace import Pace, Slots
from stellatune_plugins.host.egress.resolve import SystemResolver
from stellatune_plugins.host.egress.urls import WebUrl, parse_endpoint, parse_url
from stellatune_plugins.host.egress.wire import Wire, connect_socket

__all__ = [
    "ConnectionLost",
    "Connector",
    "EgressAuthority",
    "EgressGuard",
    "Exchange",
    "Pace",
    "Reach",
    "Resolver",
    "Slots",
    "SystemResolver",
    "Verdict",
    "WebClient",
    "WebRequest",
    "WebUrl",
    "Wire",
    "check_status",
    "checked_headers",
    "connect_socket",
    "judge",
    "parse_endpoint",
    "parse_url",
]
