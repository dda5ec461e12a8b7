"""A decoder for WAV files: integers of 8, 16, 24 and 32 bits, and 32-bit floats."""

import struct
from array import array

import wit_world
from componentize_py_types import Err
from wit_world.exports import Decoder as DecoderExports
from wit_world.exports import Lifecycle as LifecycleExports
from wit_world.exports.decoder import Session as SessionExports
from wit_world.exports.lifecycle import DisableReason
from wit_world.imports import common
from wit_world.imports.host_stream import HostStreamHandle


class Session(SessionExports):
    """One opened file."""

    def __init__(self, stream: HostStreamHandle) -> None:
        self.stream = stream
        riff, _, wave = struct.unpack("<4sI4s", self.exactly(12))
        if (riff, wave) != (b"RIFF", b"WAVE"):
            raise Err(common.PluginError_Unsupported("not a WAV file"))
        name, size = struct.unpack("<4sI", self.exactly(8))
        while name != b"data":
            chunk = self.exactly(size + size % 2)
            if name == b"fmt ":
                self.kind, self.channels, self.rate, _, self.frame_bytes, self.bits = struct.unpack(
                    "<HHIIHH", chunk[:16]
                )
                if self.kind == 0xFFFE:  # extensible: the kind is the first field of its GUID
                    (self.kind,) = struct.unpack("<H", chunk[24:26])
            name, size = struct.unpack("<4sI", self.exactly(8))
        if (self.kind, self.bits) not in {(1, 8), (1, 16), (1, 24), (1, 32), (3, 32)}:
            raise Err(common.PluginError_Unsupported(f"WAV of kind {self.kind} with {self.bits} bits"))
        self.begin = stream.tell()
        self.frames = size // self.frame_bytes
        self.at = 0

    def exactly(self, size: int) -> bytes:
        """Bytes that have to be there."""
        data = b""
        while len(data) < size and (more := self.stream.read(size - len(data))):
            data += more
        if len(data) < size:
            raise Err(common.PluginError_Io("the file ends too early"))
        return data

    def info(self) -> common.DecoderInfo:
        return common.DecoderInfo(self.rate, self.channels, self.frames * 1000 // self.rate, True, 0, 0)

    def metadata(self) -> common.MediaMetadata:
        tags = common.AudioTags(None, None, [], [], [], None, None, None, None, None, None)
        form = common.EncodedAudioFormat("pcm", self.rate, self.channels, None, "wav")
        return common.MediaMetadata(tags, self.frames * 1000 // self.rate, form, [])

    def read_pcm_f32(self, max_frames: int) -> common.PcmF32Chunk:
        frames = min(max_frames, self.frames - self.at, 8192)
        data = self.exactly(frames * self.frame_bytes)
        self.at += frames
        return common.PcmF32Chunk(self.floats(data), frames, self.at == self.frames)

    def floats(self, data: bytes) -> bytes:
        """Little-endian floats, full scale 1, from what the file holds."""
        if self.kind == 3:
            return data
        if self.bits == 8:
            return array("f", [(value - 128) / 128 for value in data]).tobytes()
        if self.bits == 24:  # a zero byte below makes it 32 bits
            wide = bytearray(len(data) // 3 * 4)
            wide[1::4], wide[2::4], wide[3::4] = data[::3], data[1::3], data[2::3]
            data = bytes(wide)
        scale = 2.0**-15 if self.bits == 16 else 2.0**-31
        return array("f", [value * scale for value in array("h" if self.bits == 16 else "i", data)]).tobytes()

    def seek_ms(self, position_ms: int) -> None:
        self.at = min(position_ms * self.rate // 1000, self.frames)
        self.stream.seek(self.begin + self.at * self.frame_bytes, common.SeekWhence.START)

    def plan_config_update_json(self, new_config_json: str) -> common.ConfigUpdatePlan:
        return common.ConfigUpdatePlan(common.ConfigUpdateMode.HOT_APPLY, None)

    def apply_config_update_json(self, new_config_json: str) -> None:
        pass

    def export_state_json(self) -> str | None:
        return None

    def import_state_json(self, state_json: str) -> None:
        pass

    def close(self) -> None:
        self.stream.close()


class Decoder(DecoderExports):
    """Opens files."""

    def open(self, input: HostStreamHandle, ext_hint: str | None) -> Session:
        return Session(input)


class Lifecycle(LifecycleExports):
    """Nothing to prepare, nothing to put away."""

    def on_enable(self) -> None:
        pass

    def on_disable(self, reason: DisableReason) -> None:
        pass


class WitWorld(wit_world.WitWorld):
    """The component itself."""
