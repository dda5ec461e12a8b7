"""World ``output-sink-plugin``."""

from __future__ import annotations

import msgspec

from stellatune_plugins.model import AudioSpec, NegotiatedSpec, SinkStatus


class SinkArguments(msgspec.Struct, frozen=True, tag="output-sink"):
    """``output-sink.create`` takes nothing."""


class ListTargets(msgspec.Struct, frozen=True, tag="sink.list-targets"):
    """Answered by ``Text``, which is JSON."""


class Negotiate(msgspec.Struct, frozen=True, tag="sink.negotiate"):
    """Answered by :class:`Negotiated`."""

    target_json: str
    desired: AudioSpec


class DescribeSinkHotPath(msgspec.Struct, frozen=True, tag="sink.describe-hot-path"):
    """Answered by ``HotPath``."""

    spec: AudioSpec


class OpenSink(msgspec.Struct, frozen=True, tag="sink.open"):
    """Answered by ``Nothing``. The executor keeps the last one that succeeded, for recovery."""

    target_json: str
    spec: AudioSpec


class WriteSamples(msgspec.Struct, frozen=True, tag="sink.write"):
    """Answered by ``Number``: how many frames were accepted."""

    channels: int
    samples: bytes


class QueryStatus(msgspec.Struct, frozen=True, tag="sink.status"):
    """Answered by :class:`SinkState`."""


class FlushSink(msgspec.Struct, frozen=True, tag="sink.flush"):
    """Answered by ``Nothing``."""


class ResetSink(msgspec.Struct, frozen=True, tag="sink.reset"):
    """Answered by ``Nothing``."""


SinkRequest = (
    ListTargets | Negotiate | DescribeSinkHotPath | OpenSink | WriteSamples | QueryStatus | FlushSink | ResetSink
)


class Negotiated(msgspec.Struct, frozen=True, tag="negotiated"):
    """What a target agrees to."""

    negotiated: NegotiatedSpec


class SinkState(msgspec.Struct, frozen=True, tag="sink-state"):
    """How the sink is doing."""

    status: SinkStatus


SinkValue = Negotiated | SinkState
