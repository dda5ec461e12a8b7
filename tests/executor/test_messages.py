"""Messages survive the way between two processes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.executor import messages as m
from stellatune_plugins.executor.failures import Failure
from stellatune_plugins.executor.states import InstanceState, PluginState
from stellatune_plugins.model import (
    AbilityKey,
    AbilityKind,
    AudioSpec,
    AudioTags,
    BufferLayout,
    ComponentId,
    ConfigUpdateMode,
    ConfigUpdatePlan,
    CoreModuleSpec,
    DecoderInfo,
    DisableReason,
    DurationMs,
    EncodedFormat,
    Frames,
    HotPathRole,
    MediaMetadata,
    NegotiatedSpec,
    Picture,
    PluginId,
    SampleFormat,
    SampleRate,
    SinkStatus,
    TypeId,
)

SPEC = AudioSpec(SampleRate(48_000), 2)
KEY = AbilityKey(PluginId("org.example.gain"), AbilityKind.DSP, TypeId("gain"), ComponentId("main"))
MODULE = CoreModuleSpec(
    role=HotPathRole.DSP_TRANSFORM,
    wasm_rel_path="wasm/gain.hot.wasm",
    abi_version=1,
    memory_export="memory",
    init_export="init",
    process_export="process",
    reset_export="reset",
    drop_export=None,
    buffer=BufferLayout(1024, None, Frames(4096), 2, SampleFormat.F32LE, interleaved=True),
)
TRACK = MediaMetadata(
    tags=AudioTags(title="a song", artists=("a singer", "another")),
    duration_ms=DurationMs(1000),
    format=EncodedFormat("flac", SampleRate(48_000), 2, 900, "flac"),
    extras=(("lyrics", "la\nla"), ("loud", True), ("gain", -1.5), ("count", 2**64 - 1), ("raw", b"\x00\xff")),
    pictures=(Picture("image/png", b"\x89PNG", "front"),),
)
FAILURE = Failure(
    code="guest-trap", message="it trapped", plugin="org.example.gain", details={"trap": "unreachable", "n": 3}
)

REQUESTS: list[m.Request] = [
    m.Activate(
        plugin=PluginId("org.example.gain"),
        version="1.2.3",
        root="/somewhere/org.example.gain",
        components=(
            m.ComponentRef(
                id=ComponentId("main"),
                path="wasm/gain.wasm",
                world="stellatune:plugin/dsp-plugin@0.1.0",
                abilities=(m.AbilityRef(AbilityKind.DSP, TypeId("gain")),),
            ),
        ),
    ),
    m.Deactivate(PluginId("org.example.gain"), DisableReason.RELOAD),
    m.CreateInstance(KEY, m.DspArguments(SPEC)),
    m.Call(7, m.DescribeHotPath(SPEC)),
    m.Call(7, m.ProcessSamples(2, b"\x00\xff" * 16)),
    m.Call(7, m.SupportedLayouts()),
    m.Call(7, m.OutputChannels()),
    m.Call(7, m.PlanConfig('{"gain": 1}')),
    m.Call(7, m.ApplyConfig('{"gain": 1}')),
    m.Call(7, m.ExportState()),
    m.Call(7, m.ImportState("{}")),
    m.CreateInstance(KEY, m.DecoderArguments(3, "flac")),
    m.CreateInstance(KEY, m.SourceArguments()),
    m.CreateInstance(KEY, m.LyricsArguments()),
    m.CreateInstance(KEY, m.SinkArguments()),
    m.Call(7, m.ReadInfo()),
    m.Call(7, m.ReadMetadata()),
    m.Call(7, m.ReadPcm(4096)),
    m.Call(7, m.SeekTo(2**63)),
    m.Call(7, m.ListItems("{}")),
    m.Call(7, m.OpenTrack("{}")),
    m.Call(7, m.OpenUri("example:1")),
    m.Call(7, m.StreamMetadata(1)),
    m.Call(7, m.ReadStream(1, 2**32 - 1)),
    m.Call(7, m.CloseStream(1)),
    m.Call(7, m.SearchLyrics("a song")),
    m.Call(7, m.FetchLyrics("17")),
    m.Call(7, m.ListTargets()),
    m.Call(7, m.Negotiate("{}", SPEC)),
    m.Call(7, m.DescribeSinkHotPath(SPEC)),
    m.Call(7, m.OpenSink("{}", SPEC)),
    m.Call(7, m.WriteSamples(2, b"\x00\xff" * 16)),
    m.Call(7, m.QueryStatus()),
    m.Call(7, m.FlushSink()),
    m.Call(7, m.ResetSink()),
    m.Recover(7),
    m.Lift(7),
    m.CloseInstance(7),
    m.Status(),
]

REPLIES: list[m.Reply] = [
    m.Activated(PluginId("org.example.gain"), 2, 0.25),
    m.Deactivated(PluginId("org.example.gain"), forced=True, failures=(FAILURE,)),
    m.InstanceCreated(9),
    m.Answer(m.Nothing()),
    m.Answer(m.HotPath(MODULE)),
    m.Answer(m.HotPath(None)),
    m.Answer(m.Samples(2, b"\x00\x01\x02\x03" * 4)),
    m.Answer(m.Number(0xFFFF_FFFF)),
    m.Answer(m.Plan(ConfigUpdatePlan(ConfigUpdateMode.REJECT, "no"))),
    m.Answer(m.Text(None)),
    m.Answer(m.Text("{}")),
    m.Answer(m.Info(DecoderInfo(SPEC, DurationMs(1000), seekable=True))),
    m.Answer(m.Tagged(m.Metadata.of(TRACK))),
    m.Answer(m.Pcm(2, b"\x00\x01\x02\x03" * 4, eof=True)),
    m.Answer(m.StreamOpened(4, processed=False, ext_hint="flac", metadata=m.Metadata.of(TRACK))),
    m.Answer(m.StreamOpened(4, processed=True, ext_hint=None, metadata=None)),
    m.Answer(m.Encoded(b"\x00\xff", eof=False)),
    m.Answer(m.Candidates((m.Candidate("17", "a song", "a singer"),))),
    m.Answer(m.Negotiated(NegotiatedSpec(SPEC, Frames(512), prefer_track_rate=True))),
    m.Answer(m.SinkState(SinkStatus(1024, running=True))),
    m.Recovered(9, replaced=True, config_restored=True, state_restored=False),
    m.Lifted(9),
    m.InstanceClosed(9, forced=False),
    m.StatusReport(
        (m.PluginStatus(PluginId("org.example.gain"), "1.2.3", PluginState.ACTIVE, 1, 0, 1),),
        (m.InstanceStatus(9, KEY, InstanceState.BARRED, 3),),
    ),
    FAILURE,
]


@pytest.mark.parametrize("request_message", REQUESTS, ids=lambda r: str(r.__struct_config__.tag))
def test_a_request_comes_out_as_it_went_in(request_message: m.Request) -> None:
    """Every kind of request is plain data."""
    assert m.decode_request(m.encode(request_message)) == request_message


@pytest.mark.parametrize("reply", REPLIES, ids=lambda r: str(r.__struct_config__.tag))
def test_a_reply_comes_out_as_it_went_in(reply: m.Reply) -> None:
    """Every kind of reply is plain data."""
    assert m.decode_reply(m.encode(reply)) == reply


def test_every_kind_of_message_is_tried() -> None:
    """The lists above leave no message and no value out."""
    tags = {str(r.__struct_config__.tag) for r in REQUESTS}
    assert tags == {str(cls.__struct_config__.tag) for cls in m.Request.__args__}
    inner = {type(r.request) for r in REQUESTS if isinstance(r, m.Call)}
    assert inner == set(m.InstanceRequest.__args__)
    made = {type(r.arguments) for r in REQUESTS if isinstance(r, m.CreateInstance)}
    assert made == set(m.Arguments.__args__)
    assert {type(r) for r in REPLIES} == set(m.Reply.__args__)
    assert {type(r.value) for r in REPLIES if isinstance(r, m.Answer)} == set(m.Value.__args__)


def test_metadata_comes_back_as_the_model() -> None:
    """Extras keep their types, a truth is no number and a text no bytes."""
    back = m.decode_reply(m.encode(m.Answer(m.Tagged(m.Metadata.of(TRACK)))))
    assert isinstance(back, m.Answer)
    assert isinstance(back.value, m.Tagged)
    assert back.value.metadata.to_model() == TRACK
    assert [type(value) for _, value in back.value.metadata.to_model().extras] == [str, bool, float, int, bytes]


def test_samples_travel_as_bytes() -> None:
    """A block costs its bytes and a head, not a number a sample."""
    block = bytes(64 * 1024)
    assert len(m.encode(m.Call(1, m.ProcessSamples(2, block)))) < len(block) + 100


@given(st.binary(max_size=200))
def test_noise_is_no_message(data: bytes) -> None:
    """Bytes that are no message are refused with one kind of error."""
    for decode in (m.decode_request, m.decode_reply):
        try:
            message = decode(data)
        except msgspec.DecodeError:
            continue
        assert isinstance(message, (*m.Request.__args__, *m.Reply.__args__))


def test_a_reply_is_no_request() -> None:
    """The two directions do not mix."""
    with pytest.raises(msgspec.ValidationError):
        m.decode_request(m.encode(m.InstanceCreated(1)))
