"""Which transports are offered and tried, and under which names (contract, section 5). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import TransportWish
from stellatune_plugins.package.manifest import TransportKind, TransportOption

MIN_RING: Final = 4 * 1024
MAX_RING: Final = 64 * 1024 * 1024
DEFAULT_RING: Final = 1024 * 1024

MAX_ROLE: Final = 64
"""Characters."""

_SPELLINGS: Final = {
    TransportKind.STDIO: ("STDIO",),
    TransportKind.NAMED_PIPE: ("NAMED_PIPE", "PIPE"),
    TransportKind.UNIX_SOCKET: ("UNIX_SOCKET", "UNIX"),
    TransportKind.LOOPBACK_TCP: ("LOOPBACK_TCP", "TCP"),
    TransportKind.SHARED_MEMORY_RING: ("SHARED_MEMORY_RING", "SHM"),
}


class Purpose(msgspec.Struct, frozen=True):
    """What a channel is for: control, or data of one role (``None`` for whichever)."""

    data: bool = False
    role: str | None = None

    @property
    def variable(self) -> str:
        """What its environment variables start with: ``STELLATUNE_SIDECAR_DATA_PCM``."""
        if not self.data:
            return "STELLATUNE_SIDECAR_CONTROL"
        key = role_key(self.role or "")
        return f"STELLATUNE_SIDECAR_DATA_{key}" if key else "STELLATUNE_SIDECAR_DATA"

    @property
    def file_name(self) -> str:
        """What its files are called: short, since a socket's path has few characters."""
        return f"d-{role_key(self.role or '').lower()[:16]}" if self.data else "c"

    def variables(self, kind: TransportKind) -> tuple[str, ...]:
        """Every name under which the endpoint of this kind is told: ``..._UNIX_SOCKET`` and ``..._UNIX``."""
        return tuple(f"{self.variable}_{spelling}" for spelling in _SPELLINGS[kind])


CONTROL: Final = Purpose()


def wishes(options: Iterable[TransportOption]) -> tuple[TransportWish, ...]:
    """A manifest's transports as a guest would name them."""
    return tuple(TransportWish(option.kind.value, option.priority, option.max_frame_bytes) for option in options)


def by_priority(preferred: Iterable[TransportWish]) -> tuple[TransportKind, ...]:
    """Each kind once; the highest priority first, then in the order given.

    Raises:
        PluginFailure: ``invalid-arg`` for a kind that does not exist.
    """
    ordered = sorted(preferred, key=lambda wish: -wish.priority)
    return tuple(dict.fromkeys(_kind(wish) for wish in ordered))


def control_order(preferred: Sequence[TransportWish]) -> tuple[TransportKind, ...]:
    """What is tried for control: stdio is the last resort where it is not named."""
    return tuple(dict.fromkeys((*by_priority(preferred), TransportKind.STDIO)))


def data_order(call: Sequence[TransportWish], launch: Sequence[TransportWish]) -> tuple[TransportKind, ...]:
    """What is tried for data: the call's list, then of the launch's what the call does not name; stdio for neither."""
    named = {wish.kind for wish in call}
    merged = [*call, *(wish for wish in launch if wish.kind not in named)]
    return by_priority(merged) or (TransportKind.STDIO,)


def frame_bytes(preferred: Iterable[TransportWish], kind: TransportKind) -> int | None:
    """The largest ``max-frame-bytes`` that was asked for this kind."""
    return max((w.max_frame_bytes for w in preferred if w.kind == kind and w.max_frame_bytes is not None), default=None)


def ring_capacity(max_frame_bytes: int | None) -> int:
    """Bytes of a ring for such frames."""
    return DEFAULT_RING if max_frame_bytes is None else min(MAX_RING, max(MIN_RING, max_frame_bytes))


def role_key(role: str) -> str:
    """A role as variables spell it: ``left.pcm`` as ``LEFT_PCM``."""
    return re.sub(r"[^A-Za-z0-9]", "_", role.strip()).upper().strip("_")


def check_role(role: str) -> None:
    """Refuse what no sensible plugin asks for.

    Raises:
        PluginFailure: ``invalid-arg``.
    """
    if len(role) > MAX_ROLE:
        raise PluginFailure("invalid-arg", f"a role has at most {MAX_ROLE} characters")


def named_roles(env: Iterable[tuple[str, str]]) -> Iterator[tuple[str, TransportKind, str]]:
    """Roles that a plugin's variables name, as they spell them, with the kind and the value, which may be empty.

    A launch does not say which roles ``open-data`` will name, so one endpoint a kind serves the first of them. A plugin
    with several data channels passes ``STELLATUNE_SIDECAR_DATA_<ROLE>_<T>`` with an empty value for each, and the host
    makes it; or with an endpoint that its sidecar makes.
    """
    prefix = "STELLATUNE_SIDECAR_DATA_"
    spellings = {spelling: kind for kind, names in _SPELLINGS.items() for spelling in names}
    # The longest first: ..._SHARED_MEMORY_RING is no role called SHARED_MEMORY with a kind called RING.
    for name, value in env:
        upper = name.strip().upper()
        if not upper.startswith(prefix):
            continue
        rest = upper.removeprefix(prefix)
        for spelling in sorted(spellings, key=len, reverse=True):
            role = rest.removesuffix(f"_{spelling}")
            if role != rest and role:
                yield role, spellings[spelling], value.strip()
                break


def given(env: Iterable[tuple[str, str]], purpose: Purpose, kind: TransportKind) -> str:
    """The endpoint that the plugin put into the environment itself; empty where it did not."""
    values = {name.strip().upper(): value.strip() for name, value in env}
    return next((values[name] for name in purpose.variables(kind) if values.get(name)), "")


def pair_text(tx: str, rx: str) -> str:
    """Two files as one text; both seen from the host."""
    return f"tx={tx};rx={rx}"


def _kind(wish: TransportWish) -> TransportKind:
    try:
        return TransportKind(wish.kind)
    except ValueError:
        raise PluginFailure("invalid-arg", f"there is no transport {wish.kind[:40]!r}") from None
