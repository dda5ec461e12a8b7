"""Playback devices through miniaudio: which there are, and what one of them takes. No numpy: a sidecar imports this."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import miniaudio
import msgspec

from stellatune_plugins.errors import OutputFailed, UsageError
from stellatune_plugins.model import AudioSpec, Frames, NegotiatedSpec, SampleRate

AUTOMATIC: Final = ("wasapi", "coreaudio", "pulseaudio", "alsa")
"""Backends that are tried where none is named, in this order."""
BACKENDS: Final = (*AUTOMATIC, "jack", "sndio", "oss", "null")
"""All there are. JACK's library writes to the terminal where no server runs; ``null`` plays to nobody."""
MAX_CHANNELS: Final = 8
MAX_RATE: Final = 384_000

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class DeviceTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A target as JSON. Every entry of ``list-targets-json`` is one; ``{}`` is the default device."""

    backend: str | None = None
    device: str | None = None
    """As listed; ``None`` for the backend's default."""
    period_ms: Milliseconds = 50
    """How much the device asks for at a time."""
    periods: Annotated[int, msgspec.Meta(ge=2, le=16)] = 4
    """How many of them the device holds: what still sounds when nothing is queued any more."""
    queue_ms: Annotated[int, msgspec.Meta(ge=20, le=10_000)] = 500
    """How much may be queued in front of the device."""

    @classmethod
    def parse(cls, target_json: str) -> DeviceTarget:
        """Read it.

        Raises:
            UsageError: it is no target.
        """
        try:
            target = msgspec.json.decode(target_json.strip() or "{}", type=cls)
        except msgspec.DecodeError as error:
            raise UsageError(f"no device target: {error}", operation="sink.open") from error
        if target.backend is not None and target.backend not in BACKENDS:
            raise UsageError(f"there is no backend {target.backend!r}; there are {', '.join(BACKENDS)}")
        return target


class FoundDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the list."""

    backend: str
    device: str | None
    name: str
    rates: tuple[int, ...] = ()
    """What it plays as it is; none where any rate does, or nobody knows."""
    channels: tuple[int, ...] = ()


def list_devices(backend: str | None = None) -> list[FoundDevice]:
    """The devices of a backend, or of every one that works here; the backend's default first.

    Raises:
        OutputFailed: the backend that was named does not work here.
    """
    found: list[FoundDevice] = []
    for name in _wanted(backend):
        try:
            entries = _playbacks(name)
        except miniaudio.MiniaudioError as error:
            if backend is not None:
                raise _failed(f"{name} does not work here", error) from error
            continue
        if entries:
            found.append(FoundDevice(backend=name, device=None, name=f"Default ({name})"))
            found += [_found(name, entry) for entry in entries]
    return found


def negotiate(target: DeviceTarget, desired: AudioSpec) -> NegotiatedSpec:
    """The desired spec, at the device's own rate where it has one: resampling is better done here than there.

    Raises:
        UsageError: more channels than any device has.
        OutputFailed: there is no such device.
    """
    if not 1 <= desired.channels <= MAX_CHANNELS:
        raise UsageError(
            f"devices play 1 to {MAX_CHANNELS} channels, not {desired.channels}", operation="sink.negotiate"
        )
    device = _look_up(target)
    rate = desired.sample_rate
    if device.rates and rate not in device.rates:
        rate = SampleRate(
            min(device.rates, key=lambda own: (own < desired.sample_rate, abs(own - desired.sample_rate)))
        )
    rate = SampleRate(min(rate, MAX_RATE))
    chunk = Frames(max(1, rate * target.period_ms // 1000))
    return NegotiatedSpec(AudioSpec(rate, desired.channels), chunk, prefer_track_rate=not device.rates)


@contextlib.contextmanager
def opened(target: DeviceTarget, spec: AudioSpec) -> Iterator[miniaudio.PlaybackDevice]:
    """The device, ready to be started; its context ends with it.

    Raises:
        OutputFailed: it cannot be opened.
    """
    name, device_id = _device_id(target)
    try:
        device = miniaudio.PlaybackDevice(
            output_format=miniaudio.SampleFormat.FLOAT32,
            nchannels=spec.channels,
            sample_rate=spec.sample_rate,
            buffersize_msec=target.period_ms,
            callback_periods=target.periods,
            device_id=device_id,
            backends=[_BACKENDS[name]],
            # Any other priority is set by a call that sandboxes forbid, and means nothing to Linux's usual scheduler.
            thread_prio=miniaudio.ThreadPriority.DEFAULT,
            app_name="Stellatune",
        )
    except miniaudio.MiniaudioError as error:
        raise _failed("the device cannot be opened", error) from error
    try:
        yield device
    finally:
        context = device._context  # noqa: SLF001 - the binding leaves it open, with its connection and its threads
        device.close()
        miniaudio.lib.ma_context_uninit(context)


_BACKENDS: Final = {
    "wasapi": miniaudio.Backend.WASAPI,
    "coreaudio": miniaudio.Backend.COREAUDIO,
    "pulseaudio": miniaudio.Backend.PULSEAUDIO,
    "alsa": miniaudio.Backend.ALSA,
    "jack": miniaudio.Backend.JACK,
    "sndio": miniaudio.Backend.SNDIO,
    "oss": miniaudio.Backend.OSS,
    "null": miniaudio.Backend.NULL,
}


def _wanted(backend: str | None) -> tuple[str, ...]:
    if backend is not None:
        return (backend,)
    enabled = miniaudio.get_enabled_backends()
    # ALSA's library writes to the terminal where there is no sound card.
    without = set() if Path("/dev/snd").is_dir() else {"alsa"}
    return tuple(name for name in AUTOMATIC if _BACKENDS[name] in enabled and name not in without)


def _playbacks(backend: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = miniaudio.Devices([_BACKENDS[backend]]).get_playbacks()
    return entries


def _found(backend: str, entry: dict[str, Any]) -> FoundDevice:
    rates = {f["samplerate"] for f in entry["formats"]}
    widths = {f["channels"] for f in entry["formats"]}
    # A format with 0 in it stands for any.
    return FoundDevice(
        backend=backend,
        device=_id_text(entry["id"]),
        name=entry["name"],
        rates=() if 0 in rates else tuple(sorted(rates)),
        channels=() if 0 in widths else tuple(sorted(widths)),
    )


def _look_up(target: DeviceTarget) -> FoundDevice:
    devices = [d for d in list_devices(target.backend) if target.device is None or d.device == target.device]
    if not devices:
        raise _no_device(target)
    if target.device is not None:
        return devices[0]
    # The default has no entry of its own with formats: the only device of its backend is it, else nobody knows.
    others = [d for d in devices[1:] if d.backend == devices[0].backend]
    return others[0] if len(others) == 1 else devices[0]


def _device_id(target: DeviceTarget) -> tuple[str, Any]:
    """The backend, and miniaudio's own id of the device in it (``None`` for the default)."""
    for name in _wanted(target.backend):
        with contextlib.suppress(miniaudio.MiniaudioError):
            entries = _playbacks(name)
            if target.device is None and entries:
                return name, None
            for entry in entries:
                if _id_text(entry["id"]) == target.device:
                    return name, entry["id"]
    raise _no_device(target)


def _id_text(device_id: Any) -> str:
    """An id as text: most backends have names, the others' bytes are written out."""
    raw = bytes(miniaudio.ffi.buffer(device_id)).rstrip(b"\0")
    text = raw.decode("ascii", "replace")
    return text if text.isprintable() and text.isascii() and text else f"hex:{raw.hex()}"


def _no_device(target: DeviceTarget) -> OutputFailed:
    what = "no playback device" if target.device is None else f"no playback device {target.device!r}"
    where = "" if target.backend is None else f" in {target.backend}"
    return OutputFailed(
        f"there is {what}{where}",
        operation="sink.open",
        hint="`stellatune devices` lists what there is; check that the sound server runs",
    )


def _failed(what: str, error: miniaudio.MiniaudioError) -> OutputFailed:
    return OutputFailed(f"{what}: {' '.join(map(str, error.args))}", operation="sink.open")
