"""What an executor is asked and answers, and all of it as MessagePack."""

from __future__ import annotations

import msgspec

from stellatune_plugins.executor.failures import Failure
from stellatune_plugins.executor.messages.calls import Arguments, InstanceRequest, Value
from stellatune_plugins.executor.states import InstanceState, PluginState
from stellatune_plugins.model import AbilityKey, AbilityKind, ComponentId, DisableReason, PluginId, TypeId

# --- requests -------------------------------------------------------------------------------------------------------


class AbilityRef(msgspec.Struct, frozen=True):
    """One ability of a component."""

    kind: AbilityKind
    type_id: TypeId


class ComponentRef(msgspec.Struct, frozen=True, kw_only=True):
    """One component to activate; ``path`` lies below the package's root, with forward slashes."""

    id: ComponentId
    path: str
    world: str
    abilities: tuple[AbilityRef, ...]


class Activate(msgspec.Struct, frozen=True, kw_only=True, tag="activate"):
    """Load a plugin's components, check their worlds, instantiate and enable each; all or none.

    Answered by :class:`Activated`. A plugin that is active already, from the same root and version, stays as it is.
    """

    plugin: PluginId
    version: str
    root: str
    components: tuple[ComponentRef, ...]


class Deactivate(msgspec.Struct, frozen=True, tag="deactivate"):
    """End all instances of a plugin, run its ``on-disable``, tear everything down. Answered by :class:`Deactivated`."""

    plugin: PluginId
    reason: DisableReason


class CreateInstance(msgspec.Struct, frozen=True, tag="create-instance"):
    """Make a capability instance, in a cell of its own. Answered by :class:`InstanceCreated`."""

    ability: AbilityKey
    arguments: Arguments


class Call(msgspec.Struct, frozen=True, tag="call"):
    """Call an instance. Answered by :class:`Answer`."""

    instance: int
    request: InstanceRequest


class Recover(msgspec.Struct, frozen=True, tag="recover"):
    """Give a dead instance a fresh cell, with its last good configuration and state. Answered by :class:`Recovered`.

    A live instance stays as it is.
    """

    instance: int


class Lift(msgspec.Struct, frozen=True, tag="lift"):
    """Allow a barred instance a new budget of replacements. Answered by :class:`Lifted`."""

    instance: int


class CloseInstance(msgspec.Struct, frozen=True, tag="close-instance"):
    """End an instance. Answered by :class:`InstanceClosed`, also where there is none of this id any more."""

    instance: int


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Answered by :class:`StatusReport`."""


Request = Activate | Deactivate | CreateInstance | Call | Recover | Lift | CloseInstance | Status

# --- replies --------------------------------------------------------------------------------------------------------


class Activated(msgspec.Struct, frozen=True, tag="activated"):
    """``seconds`` is 0 where the plugin was active already."""

    plugin: PluginId
    components: int
    seconds: float


class Deactivated(msgspec.Struct, frozen=True, tag="deactivated"):
    """The plugin is gone. ``forced`` where a hook or destructor failed; ``failures`` says how."""

    plugin: PluginId
    forced: bool
    failures: tuple[Failure, ...] = ()


class InstanceCreated(msgspec.Struct, frozen=True, tag="instance-created"):
    """The instance's id, for every further message."""

    instance: int


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What a call gave."""

    value: Value


class Recovered(msgspec.Struct, frozen=True, tag="recovered"):
    """What the fresh instance has of the old one; ``replaced`` is false where the old one was alive."""

    instance: int
    replaced: bool
    config_restored: bool = False
    state_restored: bool = False
    reopened: bool = False
    """A sink plays to the target again that it was opened on."""


class Lifted(msgspec.Struct, frozen=True, tag="lifted"):
    """The instance may be recovered again."""

    instance: int


class InstanceClosed(msgspec.Struct, frozen=True, tag="instance-closed"):
    """The instance is gone. ``forced`` where ``close``, a destructor or a hook failed; ``failures`` says how."""

    instance: int
    forced: bool
    failures: tuple[Failure, ...] = ()


class PluginStatus(msgspec.Struct, frozen=True):
    """One plugin in the executor."""

    plugin: PluginId
    version: str
    state: PluginState
    components: int
    standby: int
    """Enabled cells that wait for their first instance."""
    instances: int


class InstanceStatus(msgspec.Struct, frozen=True):
    """One instance; ``replacements`` counts its fresh cells since it was made."""

    instance: int
    ability: AbilityKey
    state: InstanceState
    replacements: int


class StatusReport(msgspec.Struct, frozen=True, tag="status-report"):
    """Everything that lives in the executor, in a stable order."""

    plugins: tuple[PluginStatus, ...]
    instances: tuple[InstanceStatus, ...]


Reply = (
    Activated | Deactivated | InstanceCreated | Answer | Recovered | Lifted | InstanceClosed | StatusReport | Failure
)

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """A message as MessagePack."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """The request in these bytes.

    Raises:
        msgspec.DecodeError: they are no request (``ValidationError`` where they are MessagePack of another shape).
    """
    return _request_decoder.decode(data)


def decode_reply(data: bytes) -> Reply:
    """The reply in these bytes; raises as :func:`decode_request` does."""
    return _reply_decoder.decode(data)
