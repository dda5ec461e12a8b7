"""What plans say: which paths, which sockets, and nothing of a home."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stellatune_plugins.host.sidecar.keeper.plan import Plan
from stellatune_plugins.host.sidecar.sandbox import Confinement, Sandboxes, SandboxTier, make_plan
from stellatune_plugins.host.sidecar.sandbox.audio import AudioAccess, find_audio
from stellatune_plugins.host.sidecar.sandbox.confinement import interpreter
from stellatune_plugins.host.sidecar.sandbox.planning import bubblewrap_options, landlock_rules

WORKS = Sandboxes(bubblewrap="/usr/bin/bwrap", landlock=True, filtered=True, disables_namespaces=True)


def confinement(tmp_path: Path, *, network: bool = False, audio: AudioAccess | None = None) -> Confinement:
    """Of a program that is not Python."""
    return Confinement(
        argv=("/package/bin/tool", "argument"),
        environment={"TOKEN": "secret"},
        root=tmp_path / "package",
        data=tmp_path / "data",
        private=tmp_path / "private",
        network=network,
        audio=audio,
    )


def bound(options: list[str]) -> dict[str, str]:
    """Each path that is bound, and how."""
    return {
        target: option for option, _, target in zip(options, options[1:], options[2:], strict=False) if "bind" in option
    }


def test_two_folders_can_be_written(tmp_path: Path) -> None:
    """The plugin's data and a temporary one; what it shares with the host can be used, and not changed."""
    options = bubblewrap_options(confinement(tmp_path), WORKS)
    assert {path for path, how in bound(options).items() if how == "--bind"} == {str(tmp_path / "data")}
    assert bound(options)[str(tmp_path / "private")] == "--ro-bind"
    shared = options.index(str(tmp_path / "private"))
    assert options.index(str(tmp_path / "private/tmp")) > shared
    rules = dict(landlock_rules(confinement(tmp_path)))
    written = {path for path, rights in rules.items() if rights == "write"}
    assert written == {str(tmp_path / "data"), str(tmp_path / "private/tmp")}
    assert rules[str(tmp_path / "private")] == "use"


def test_nobodys_home_is_to_be_seen(tmp_path: Path) -> None:
    """Nor anything else that is not the system's."""
    paths = [
        *bound(bubblewrap_options(confinement(tmp_path), WORKS)),
        *(p for p, _ in landlock_rules(confinement(tmp_path))),
    ]
    for path in paths:
        assert path.startswith(
            ("/usr", "/bin", "/sbin", "/lib", "/etc/", "/nix/store", "/proc/", "/dev/", str(tmp_path))
        )
    assert not {"/etc", "/etc/passwd", "/etc/shadow", "/etc/machine-id"} & set(paths)


def test_the_network_is_there_where_granted(tmp_path: Path) -> None:
    """With what name look-ups need."""
    without, with_it = (bubblewrap_options(confinement(tmp_path, network=network), WORKS) for network in (False, True))
    assert "--unshare-net" in without
    assert "/etc/resolv.conf" not in without
    assert "--unshare-net" not in with_it
    assert "/etc/resolv.conf" in with_it


def test_whom_tls_trusts_is_seen_and_no_key(tmp_path: Path) -> None:
    """A host of root's, or of a group that may read keys, would hand them to its sidecars."""
    seen = {Path(path) for path in bound(bubblewrap_options(confinement(tmp_path, network=True), WORKS))}
    assert Path("/etc/ssl/certs") in seen
    for key in ("/etc/ssl/private/server.key", "/etc/pki/tls/private/server.key", "/etc/pki/nssdb/key4.db"):
        assert not seen & {Path(key), *Path(key).parents}


def test_the_network_takes_unix_sockets_away_where_the_kernel_cannot_keep_them_apart(tmp_path: Path) -> None:
    """Abstract ones belong to the network namespace. A sound server has none of those, and is no use without."""
    older = msgspec.structs.replace(WORKS, scoped=False)
    newer = msgspec.structs.replace(WORKS, scoped=True)

    def plan(sandboxes: Sandboxes, *, network: bool, audio: AudioAccess | None = None) -> Plan:
        asked = confinement(tmp_path, network=network, audio=audio)
        return make_plan(asked, SandboxTier.BUBBLEWRAP, sandboxes)

    assert plan(newer, network=True).unix_sockets
    assert plan(newer, network=True).scoped
    assert plan(older, network=False).unix_sockets
    assert not plan(older, network=True).unix_sockets
    assert plan(older, network=True, audio=AudioAccess()).unix_sockets
    assert not make_plan(confinement(tmp_path), SandboxTier.LANDLOCK, newer).unix_sockets
    assert make_plan(confinement(tmp_path, network=True), SandboxTier.NONE, older).unix_sockets


def test_tokens_are_no_arguments(tmp_path: Path) -> None:
    """Everybody sees those; the keeper passes options in a file."""
    plan = make_plan(confinement(tmp_path), SandboxTier.BUBBLEWRAP, WORKS)
    assert plan.argv == ["/package/bin/tool", "argument"]
    assert plan.options[plan.options.index("TOKEN") - 1 :][:3] == ["--setenv", "TOKEN", "secret"]
    assert "--clearenv" in plan.options


def test_an_interpreter_is_seen_in_parts() -> None:
    """Of a virtual environment and of Python itself, only what runs: they may lie in somebody's home."""
    names = {path.name for path in interpreter()}
    assert names <= {"bin", "lib", "lib64", "pyvenv.cfg", "stellatune_plugins"}


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A user's runtime folder, with a path short enough for sockets."""
    import tempfile  # noqa: PLC0415 - pytest's folders have long paths

    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        yield Path(folder)


def test_sound_is_what_is_there(runtime: Path) -> None:
    """The servers' sockets and the cookie, by the host's own variables; a server elsewhere is not meant."""
    (runtime / "pulse").mkdir()
    (runtime / "cookie").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as pulse, socket.socket(socket.AF_UNIX) as pipewire:
        pulse.bind(str(runtime / "pulse/native"))
        pipewire.bind(str(runtime / "pipewire-0"))
        found = find_audio({"XDG_RUNTIME_DIR": str(runtime), "PULSE_COOKIE": str(runtime / "cookie")})
        assert found.sockets == (runtime / "pulse/native", runtime / "pipewire-0")
        assert found.readable == (runtime / "cookie",)
        assert found.environment["PULSE_SERVER"] == f"unix:{runtime}/pulse/native"
        named = find_audio({"PULSE_SERVER": f"unix:{runtime}/pulse/native", "XDG_RUNTIME_DIR": "/nonexistent"})
        assert named.sockets == (runtime / "pulse/native",)
    assert find_audio({"PULSE_SERVER": "tcp:elsewhere", "XDG_RUNTIME_DIR": "/nonexistent"}).sockets == ()


def test_sound_is_bound_where_granted(tmp_path: Path) -> None:
    """Sockets reach into bubblewrap alone; devices into both."""
    audio = AudioAccess(sockets=(Path("/run/pulse/native"),), devices=True, environment={"PULSE_SERVER": "x"})
    with_sound = confinement(tmp_path, audio=audio)
    assert {"/run/pulse/native", "/dev/snd"} <= bound(bubblewrap_options(with_sound, WORKS)).keys()
    assert ("/dev/snd", "device") in landlock_rules(with_sound)
    assert with_sound.variables()["PULSE_SERVER"] == "x"
    assert not {"/run/pulse/native", "/dev/snd"} & bound(bubblewrap_options(confinement(tmp_path), WORKS)).keys()
