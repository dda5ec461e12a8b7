"""What is offered and tried, in which order and under which names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.transports import CONTROL, Purpose, negotiate, wishes
from stellatune_plugins.package.manifest import TransportKind, TransportOption

KINDS = [kind.value for kind in TransportKind]
a_wish = st.builds(
    TransportWish, st.sampled_from(KINDS), st.integers(0, 255), st.none() | st.integers(0, 2**32 - 1)
)  # fmt: skip


def wish(kind: str, priority: int = 0, frame: int | None = None) -> TransportWish:
    """Short for one."""
    return TransportWish(kind, priority, frame)


def test_the_highest_priority_is_tried_first_then_the_order_given() -> None:
    """The contract's rule, each kind once."""
    preferred = [wish("stdio", 1), wish("unix-socket", 5), wish("named-pipe", 5), wish("stdio", 200)]
    assert negotiate.by_priority(preferred) == ("stdio", "unix-socket", "named-pipe")


def test_control_falls_back_to_stdio() -> None:
    """Named or not, it is there; named, it keeps its place."""
    assert negotiate.control_order([]) == ("stdio",)
    assert negotiate.control_order([wish("unix-socket")]) == ("unix-socket", "stdio")
    assert negotiate.control_order([wish("unix-socket"), wish("stdio", 3)]) == ("stdio", "unix-socket")


def test_data_merges_the_calls_list_with_the_launchs() -> None:
    """The call's word on a kind counts; what it does not name comes from the launch."""
    launch = [wish("unix-socket", 9), wish("loopback-tcp", 5)]
    call = [wish("unix-socket", 1), wish("shared-memory-ring", 2)]
    assert negotiate.data_order(call, launch) == ("loopback-tcp", "shared-memory-ring", "unix-socket")
    assert negotiate.data_order([], []) == ("stdio",)


def test_a_kind_that_does_not_exist_is_the_guests_mistake() -> None:
    """Never a lookup error of ours."""
    with pytest.raises(PluginFailure) as caught:
        negotiate.by_priority([wish("carrier-pigeon")])
    assert caught.value.case == "invalid-arg"


def test_variables_have_both_spellings() -> None:
    """As plugins in the field look for them."""
    assert CONTROL.variables(TransportKind.UNIX_SOCKET) == (
        "STELLATUNE_SIDECAR_CONTROL_UNIX_SOCKET",
        "STELLATUNE_SIDECAR_CONTROL_UNIX",
    )
    pcm = Purpose(data=True, role="left.pcm")
    assert pcm.variables(TransportKind.SHARED_MEMORY_RING) == (
        "STELLATUNE_SIDECAR_DATA_LEFT_PCM_SHARED_MEMORY_RING",
        "STELLATUNE_SIDECAR_DATA_LEFT_PCM_SHM",
    )
    assert Purpose(data=True).variables(TransportKind.NAMED_PIPE)[1] == "STELLATUNE_SIDECAR_DATA_PIPE"
    assert Purpose(data=True, role="~!").variable == "STELLATUNE_SIDECAR_DATA"


def test_a_ring_is_as_large_as_the_largest_frame_within_bounds() -> None:
    """4 KiB to 64 MiB, 1 MiB without a wish."""
    ring = TransportKind.SHARED_MEMORY_RING
    frames = [wish(ring, 0, 5000), wish(ring, 1, 9000), wish("unix-socket", 0, 2**30)]
    assert negotiate.frame_bytes(frames, ring) == 9000
    assert negotiate.frame_bytes([wish(ring)], ring) is None
    assert [negotiate.ring_capacity(n) for n in (None, 0, 9000, 2**32 - 1)] == [1 << 20, 4096, 9000, 64 << 20]


def test_variables_name_roles() -> None:
    """Empty ones ask for an endpoint, others are one. Names that are a kind's own are no role."""
    env = [
        ("STELLATUNE_SIDECAR_DATA_PCM_SHM", ""),
        ("stellatune_sidecar_data_meter_unix_socket", " "),
        ("STELLATUNE_SIDECAR_DATA_SHARED_MEMORY_RING", ""),
        ("STELLATUNE_SIDECAR_DATA_PCM_TCP", "127.0.0.1:9"),
        ("HOME", ""),
    ]
    assert list(negotiate.named_roles(env)) == [
        ("PCM", TransportKind.SHARED_MEMORY_RING, ""),
        ("METER", TransportKind.UNIX_SOCKET, ""),
        ("PCM", TransportKind.LOOPBACK_TCP, "127.0.0.1:9"),
    ]


def test_an_endpoint_that_the_plugin_named_is_found_by_its_variable() -> None:
    """In either spelling; control, data and roles have names of their own."""
    env = [("STELLATUNE_SIDECAR_DATA_LOOPBACK_TCP", "127.0.0.1:1"), ("STELLATUNE_SIDECAR_DATA_PCM_TCP", "127.0.0.1:2")]
    tcp = TransportKind.LOOPBACK_TCP
    assert negotiate.given(env, Purpose(data=True, role="pcm"), tcp) == "127.0.0.1:2"
    assert negotiate.given(env, Purpose(data=True), tcp) == "127.0.0.1:1"
    assert negotiate.given(env, CONTROL, tcp) == ""


def test_a_manifests_transports_are_wishes() -> None:
    """The same three fields."""
    option = TransportOption(TransportKind.NAMED_PIPE, 7, 12)
    assert wishes([option]) == (wish("named-pipe", 7, 12),)


@given(st.lists(a_wish), st.lists(a_wish))
def test_whatever_is_asked_for_is_tried_once(call: list[TransportWish], launch: list[TransportWish]) -> None:
    """No kind is lost, none comes twice, and control always ends somewhere."""
    order = negotiate.data_order(call, launch)
    assert len(set(order)) == len(order)
    assert set(order) == {w.kind for w in (*call, *launch)} or order == ("stdio",)
    assert "stdio" in negotiate.control_order(call)


@given(st.text(max_size=80))
def test_any_role_makes_a_variable_that_a_shell_accepts(role: str) -> None:
    """Roles are the guest's words; variables are not."""
    assert Purpose(data=True, role=role).variable.replace("_", "").isalnum()
    assert Purpose(data=True, role=role).variable.isascii()
