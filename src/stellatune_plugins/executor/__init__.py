"""Cells, worlds, and the message-shaped executor contract.

The messages themselves are in :mod:`~stellatune_plugins.executor.messages`; the most used ones are here too.
"""

from stellatune_plugins.executor.client import Executor, ask
from stellatune_plugins.executor.config import effective_config, reconfigure
from stellatune_plugins.executor.config_schema import ConfigProblem, SchemaUnusable
from stellatune_plugins.executor.deadlines import Deadlines
from stellatune_plugins.executor.decoder_client import WasmDecoder, WasmDecoderSession
from stellatune_plugins.executor.dsp_client import WasmDsp, WasmDspProcessor
from stellatune_plugins.executor.environment import CELL_LIMITS, Environment
from stellatune_plugins.executor.failures import Failure
from stellatune_plugins.executor.local import LocalExecutor
from stellatune_plugins.executor.lyrics_client import WasmLyrics, WasmLyricsProvider
from stellatune_plugins.executor.messages import (
    Activate,
    Activated,
    Call,
    CloseInstance,
    CreateInstance,
    Deactivate,
    Deactivated,
    InstanceStatus,
    PluginStatus,
    Recovered,
    Reply,
    Request,
    Status,
    StatusReport,
    decode_reply,
    decode_request,
    encode,
)
from stellatune_plugins.executor.output_sink_client import WasmOutputSink, WasmOutputSinkSession
from stellatune_plugins.executor.plan import activation_of
from stellatune_plugins.executor.recovery import ReplacementBudget, ReplacementPolicy
from stellatune_plugins.executor.source_client import WasmSource, WasmSourceCatalog, WasmSourceStream
from stellatune_plugins.executor.states import CellState, InstanceState, PluginState
from stellatune_plugins.executor.streams import StreamTable

__all__ = [
    "CELL_LIMITS",
    "Activate",
    "Activated",
    "Call",
    "CellState",
    "CloseInstance",
    "ConfigProblem",
    "CreateInstance",
    "Deactivate",
    "Deactivated",
    "Deadlines",
    "Environment",
    "Executor",
    "Failure",
    "InstanceState",
    "InstanceStatus",
    "LocalExecutor",
    "PluginState",
    "PluginStatus",
    "Recovered",
    "ReplacementBudget",
    "ReplacementPolicy",
    "Reply",
    "Request",
    "SchemaUnusable",
    "Status",
    "StatusReport",
    "StreamTable",
    "WasmDecoder",
    "WasmDecoderSession",
    "WasmDsp",
    "WasmDspProcessor",
    "WasmLyrics",
    "WasmLyricsProvider",
    "WasmOutputSink",
    "WasmOutputSinkSession",
    "WasmSource",
    "WasmSourceCatalog",
    "WasmSourceStream",
    "activation_of",
    "ask",
    "decode_reply",
    "decode_request",
    "effective_config",
    "encode",
    "reconfigure",
]
