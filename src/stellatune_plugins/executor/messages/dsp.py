"""World ``dsp-plugin``."""

from __future__ import annotations

import msgspec

from stellatune_plugins.model import AudioSpec


class DspArguments(msgspec.Struct, frozen=True, tag="dsp"):
    """What ``dsp.create`` takes."""

    spec: AudioSpec


class DescribeHotPath(msgspec.Struct, frozen=True, tag="dsp.describe-hot-path"):
    """Answered by :class:`~stellatune_plugins.executor.messages.HotPath`."""

    spec: AudioSpec


class ProcessSamples(msgspec.Struct, frozen=True, tag="dsp.process"):
    """One block; answered by :class:`Samples`."""

    channels: int
    samples: bytes


class SupportedLayouts(msgspec.Struct, frozen=True, tag="dsp.supported-layouts"):
    """Answered by ``Number``: the bits of :class:`~stellatune_plugins.model.Layouts`."""


class OutputChannels(msgspec.Struct, frozen=True, tag="dsp.output-channels"):
    """Answered by ``Number``."""


DspRequest = DescribeHotPath | ProcessSamples | SupportedLayouts | OutputChannels


class Samples(msgspec.Struct, frozen=True, tag="samples"):
    """As many frames as went in, of ``channels`` channels."""

    channels: int
    samples: bytes


DspValue = Samples
