"""A guest's launch, checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import LaunchSpec, TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan
from stellatune_plugins.package.manifest import SidecarScope, TransportKind

MAX_ARGUMENTS: Final = 256
MAX_VARIABLES: Final = 128
MAX_TEXT: Final = 64 * 1024
"""Characters of the arguments, and of the variables."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNIX_SOCKET = re.compile(r"STELLATUNE_SIDECAR_DATA_.*_UNIX(_SOCKET)?")


def check_request(spec: LaunchSpec) -> None:
    """What no sidecar can be started with is refused before anything else happens.

    Raises:
        PluginFailure: ``invalid-arg``.
    """
    if spec.scope not in {scope.value for scope in SidecarScope}:
        raise PluginFailure("invalid-arg", f"no scope is called {spec.scope!r}")
    if len(spec.args) > MAX_ARGUMENTS or sum(map(len, spec.args)) > MAX_TEXT:
        raise PluginFailure("invalid-arg", "too many arguments, or too long ones")
    if len(spec.env) > MAX_VARIABLES or sum(len(name) + len(value) for name, value in spec.env) > MAX_TEXT:
        raise PluginFailure("invalid-arg", "too many variables, or too long ones")
    texts = (*spec.args, *(value for _, value in spec.env))
    if any("\0" in text or not _encodable(text) for text in texts):
        raise PluginFailure("invalid-arg", "an argument or variable has characters that no program can be passed")
    for name, _ in spec.env:
        if not _VARIABLE.fullmatch(name):
            raise PluginFailure("invalid-arg", f"{name[:64]!r} is no name of a variable")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def channel_plan(spec: LaunchSpec, *, unix_sockets: bool) -> ChannelPlan:
    """The channels that can be offered. Where a sidecar gets no Unix sockets, the next in the order takes its place."""
    without = set() if unix_sockets else {TransportKind.UNIX_SOCKET.value}
    env = spec.env
    if without:
        env = tuple((name, value) for name, value in env if value.strip() or not _UNIX_SOCKET.fullmatch(name.upper()))
    return ChannelPlan(
        control=_without(spec.preferred_control, without), data=_without(spec.preferred_data, without), env=env
    )


def _without(wishes: Iterable[TransportWish], kinds: set[str]) -> tuple[TransportWish, ...]:
    return tuple(wish for wish in wishes if wish.kind not in kinds)
