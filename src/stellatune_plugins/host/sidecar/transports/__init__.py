"""The ways to speak with a sidecar, one file a kind, and the choice among them (contract, section 5)."""

from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.given import GivenRules
from stellatune_plugins.host.sidecar.transports.negotiate import CONTROL, Purpose, wishes
from stellatune_plugins.host.sidecar.transports.offer import ChannelPlan, Transports, make_endpoint
from stellatune_plugins.host.sidecar.transports.peer import Peer, PidPeer
from stellatune_plugins.host.sidecar.transports.stdio import StdioEndpoint

__all__ = [
    "CONTROL",
    "ChannelPlan",
    "Endpoint",
    "GivenRules",
    "Peer",
    "PidPeer",
    "Purpose",
    "StdioEndpoint",
    "Transports",
    "make_endpoint",
    "wishes",
]
