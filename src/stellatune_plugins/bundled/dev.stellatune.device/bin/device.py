"""The device sink's sidecar: plays what comes through a ring on a sound device, and answers requests about it.

Requests and answers are lines of JSON: ``{"id": 1, "op": "open", "target": {}, "rate": 44100, "channels": 2}`` and
``{"id": 1, "ok": {"limit": 22050}}``, or ``{"id": 1, "error": {"case": "io", "message": "..."}}``. Operations are
``list``, ``negotiate``, ``open``, ``status``, ``flush`` and ``reset``. Samples are interleaved float32, through the
data channel ``pcm``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stellatune_plugins.errors import OutputFailed, PluginFailure, UsageError
from stellatune_plugins.model import AudioSpec, SampleRate
from stellatune_plugins.sdk.sidecar import Channel, Ended, RingChannel, host_gone, open_control, open_data

if TYPE_CHECKING:
    from stellatune_plugins.native.devices import DeviceTarget
    from stellatune_plugins.native.playback import Player

Request = dict[str, Any]


class Sidecar:
    """Answers requests, one after the other."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._pcm: RingChannel | None = None
        self._player: Player | None = None
        self._underruns = 0

    def serve(self) -> None:
        """Until the host is gone."""
        try:
            for request in self._control.lines():
                self._control.send({"id": request.get("id"), **self.answer(request)})
        except Ended:
            pass
        finally:
            self._stop()

    def answer(self, request: Request) -> dict[str, Any]:
        """What is done, or why it is not."""
        try:
            return {"ok": _OPERATIONS[request["op"]](self, request)}
        except ImportError as missing:
            return _error("unsupported", f"{missing}: install stellatune-plugins[device] for the host's Python")
        except PluginFailure as failure:
            return _error(failure.case, failure.message.removeprefix(f"{failure.case}: "))
        except UsageError as error:
            return _error("invalid-arg", error.message)
        except OutputFailed as error:
            return _error("io", error.message)

    def list(self, _request: Request) -> Any:
        """The targets there are."""
        from stellatune_plugins.native.devices import list_devices  # noqa: PLC0415 - needs miniaudio

        return msgspec.to_builtins(list_devices())

    def negotiate(self, request: Request) -> Any:
        """What a target agrees to."""
        from stellatune_plugins.native.devices import negotiate  # noqa: PLC0415 - likewise

        agreed = negotiate(_target(request), _spec(request))
        return {
            "rate": agreed.spec.sample_rate,
            "channels": agreed.spec.channels,
            "chunk": agreed.preferred_chunk,
            "track_rate": agreed.prefer_track_rate,
        }

    def open(self, request: Request) -> Any:
        """Start a device, and say how many frames may be queued in front of it."""
        from stellatune_plugins.native.playback import Player  # noqa: PLC0415 - likewise

        self._stop()
        if self._pcm is None:
            channel = open_data("pcm")
            if not isinstance(channel, RingChannel):
                raise PluginFailure("unsupported", "samples come through a shared-memory ring alone")
            self._pcm = channel
        # Of what was written for the former device nothing is left.
        self._pcm.incoming.skip(self._pcm.incoming.capacity)
        target, spec = _target(request), _spec(request)
        self._player = Player(target, spec, self._pcm.incoming)
        return {"limit": max(1, spec.sample_rate * target.queue_ms // 1000)}

    def status(self, request: Request) -> Any:
        """How it goes; with ``below`` and ``ms``, once fewer frames than that are queued, or the time is over."""
        player = self._opened()
        waits = "below" in request
        status = player.wait_below(request["below"], request["ms"] / 1000) if waits else player.status()
        if status.underruns > self._underruns:
            print(f"underruns so far: {status.underruns}", file=sys.stderr)
            self._underruns = status.underruns
        return msgspec.to_builtins(status)

    def flush(self, _request: Request) -> Any:
        """Once everything was heard."""
        self._opened().flush(host_gone)
        return self.status({})

    def reset(self, _request: Request) -> Any:
        """Nothing is queued any more."""
        self._opened().reset()
        return {}

    def _opened(self) -> Player:
        if self._player is None:
            raise PluginFailure("invalid-arg", "no device is open")
        return self._player

    def _stop(self) -> None:
        player, self._player, self._underruns = self._player, None, 0
        if player is not None:
            player.close()


_OPERATIONS: Final[dict[str, Callable[[Sidecar, Request], Any]]] = {
    "list": Sidecar.list,
    "negotiate": Sidecar.negotiate,
    "open": Sidecar.open,
    "status": Sidecar.status,
    "flush": Sidecar.flush,
    "reset": Sidecar.reset,
}


def _target(request: Request) -> DeviceTarget:
    from stellatune_plugins.native.devices import DeviceTarget  # noqa: PLC0415 - needs miniaudio

    return DeviceTarget.parse(msgspec.json.encode(request["target"]).decode())


def _spec(request: Request) -> AudioSpec:
    return AudioSpec(SampleRate(request["rate"]), request["channels"])


def _error(case: str, message: str) -> dict[str, Any]:
    return {"error": {"case": case, "message": message}}


if __name__ == "__main__":
    Sidecar(open_control()).serve()
