"""Where this user's sound goes: the sockets of sound servers, and devices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

DEVICES: Final = Path("/dev/snd")


class AudioAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What a sidecar that may play sound gets to see."""

    sockets: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    """The sound server's cookie."""
    devices: bool = False
    environment: Mapping[str, str] = MappingProxyType({})


def find_audio(variables: Mapping[str, str] = os.environ) -> AudioAccess:
    """What is there now, by the host's own environment."""
    runtime = variables.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    sockets: list[Path] = []
    environment: dict[str, str] = {}
    pulse = _pulse_socket(variables, runtime)
    if pulse is not None:
        sockets.append(pulse)
        environment["PULSE_SERVER"] = f"unix:{pulse}"
    pipewire = Path(runtime, "pipewire-0")
    if pipewire.is_socket():
        sockets.append(pipewire)
    if sockets:
        environment["XDG_RUNTIME_DIR"] = runtime
    cookie = _cookie(variables) if pulse else None
    if cookie is not None:
        environment["PULSE_COOKIE"] = str(cookie)
    return AudioAccess(
        sockets=tuple(sockets),
        readable=(cookie,) if cookie else (),
        devices=DEVICES.is_dir(),
        environment=environment,
    )


def _pulse_socket(variables: Mapping[str, str], runtime: str) -> Path | None:
    """The socket of PulseAudio, or of PipeWire in its place. Servers elsewhere on a network are not meant."""
    named = variables.get("PULSE_SERVER", "")
    places = [server.removeprefix("unix:") for server in named.split() if server.startswith(("/", "unix:"))]
    if not named:
        places = [
            f"{variables['PULSE_RUNTIME_PATH']}/native" if variables.get("PULSE_RUNTIME_PATH") else "",
            f"{runtime}/pulse/native",
            "/run/pulse/native",
        ]
    return next((Path(place) for place in places if place and Path(place).is_socket()), None)


def _cookie(variables: Mapping[str, str]) -> Path | None:
    home = Path(variables.get("HOME") or "/nonexistent")
    settings = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    places = (variables.get("PULSE_COOKIE") or "", settings / "pulse/cookie", home / ".pulse-cookie")
    return next((Path(place) for place in places if place and Path(place).is_file()), None)
