"""Everything that an instance can be made from, asked, and answer, over all worlds."""

from __future__ import annotations

from stellatune_plugins.executor.messages.decoder import DecoderArguments, DecoderRequest, DecoderValue
from stellatune_plugins.executor.messages.dsp import DspArguments, DspRequest, DspValue
from stellatune_plugins.executor.messages.instance import CommonValue, ConfigRequest
from stellatune_plugins.executor.messages.lyrics import LyricsArguments, LyricsRequest, LyricsValue
from stellatune_plugins.executor.messages.output_sink import SinkArguments, SinkRequest, SinkValue
from stellatune_plugins.executor.messages.source import SourceArguments, SourceRequest, SourceValue

Arguments = DspArguments | DecoderArguments | SourceArguments | LyricsArguments | SinkArguments
InstanceRequest = ConfigRequest | DspRequest | DecoderRequest | SourceRequest | LyricsRequest | SinkRequest
Value = CommonValue | DspValue | DecoderValue | SourceValue | LyricsValue | SinkValue
