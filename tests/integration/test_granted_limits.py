"""Memory and deadlines of a guest are what it asked for and was granted, no more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guest_builder import GUESTS, build_component, with_part

from stellatune_plugins.errors import CallDeadline, GuestTrap, InstantiateFailed, StellatuneError
from stellatune_plugins.executor import CELL_LIMITS, Deadlines, Environment
from stellatune_plugins.host.services import NoServices
from stellatune_plugins.model import AudioSpec, Home, RuntimeRoute, SampleRate
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Grants, InstalledPlugin, InstallStore, parse_grant
from stellatune_plugins.package.grants import DEFAULT_MEMORY_MIB
from stellatune_plugins.registry import PluginRuntime, RuntimeSettings

PLUGIN = "org.example.actor"
SPEC = AudioSpec(SampleRate(48_000), 2)
MIB = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of the test's own."""
    return Home(tmp_path / "home")


@pytest.fixture
def install(home: Home, tmp_path: Path) -> Callable[..., InstalledPlugin]:
    """Install an actor in a part, with wishes."""

    def install(part: str, **permissions: Any) -> InstalledPlugin:
        source = tmp_path / "source"
        (source / "wasm").mkdir(parents=True)
        (source / "wasm/actor.wasm").write_bytes(with_part(build_component(GUESTS / "actor.c"), part))
        component = {
            "id": "main",
            "path": "wasm/actor.wasm",
            "world": "stellatune:plugin/dsp-plugin@0.1.0",
            "abilities": [{"kind": "dsp", "type_id": "actor"}],
        }
        manifest = {
            "schema_version": 1,
            "id": PLUGIN,
            "name": "Actor",
            "version": "1.0.0",
            "api_version": 1,
            "components": [component],
            "permissions": permissions,
        }
        (source / "plugin.json").write_text(json.dumps(manifest))
        return InstallStore(home.plugins, EventBus()).install(source)

    return install


def _fails(home: Home, deadlines: Deadlines | None = None) -> tuple[StellatuneError, float]:
    """How an instance ends, and the seconds until then."""
    settings = RuntimeSettings(deadlines=deadlines or Deadlines())
    with PluginRuntime(home, RuntimeRoute.WASM, settings=settings) as runtime:
        runtime.enable(next(iter(InstallStore(home.plugins, EventBus()).list())))  # compiles, where it must
        began = time.monotonic()
        with pytest.raises(StellatuneError) as caught:
            runtime.open_dsp(PLUGIN, SPEC)
        return caught.value, time.monotonic() - began


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[Environment]:
    """What plugins were activated with."""
    seen: list[Environment] = []
    of = Environment.of

    def watched(self: Environment, services: Any) -> Environment:
        seen.append(of(self, services))
        return seen[-1]

    monkeypatch.setattr(Environment, "of", watched)
    return seen


@pytest.mark.parametrize(
    ("asked", "granted", "mib"),
    [(8, [], 8), (512, [], DEFAULT_MEMORY_MIB), (300, ["memory:300"], 300), (300, ["memory:4"], 4)],
)
def test_a_guest_gets_the_memory_that_it_was_granted(
    home: Home,
    install: Callable[..., InstalledPlugin],
    environments: list[Environment],
    asked: int,
    granted: list[str],
    mib: int,
) -> None:
    """It takes all that there is and then traps; what its Store allowed is what was granted."""
    package = install("create:grow", memory_mib=asked)
    Grants(home, EventBus()).grant(package.manifest, map(parse_grant, granted))
    error, _ = _fails(home)
    assert isinstance(error, GuestTrap)
    assert [env.limits.memory_bytes for env in environments] == [mib * MIB]


def test_a_guest_that_asks_for_too_little_is_not_instantiated(
    home: Home, install: Callable[..., InstalledPlugin]
) -> None:
    """The limit is a real one: this guest's own memory begins with more than 1 MiB."""
    install("", memory_mib=1)
    with PluginRuntime(home, RuntimeRoute.WASM) as runtime, pytest.raises(InstantiateFailed):
        runtime.open_dsp(PLUGIN, SPEC)


@pytest.mark.parametrize(
    ("tier", "granted", "allowed"),
    [("interactive", [], 0.2), ("standard", [], 0.4), ("patient", [], 0.4), ("patient", ["deadline:patient"], 1.6)],
)
def test_a_guest_has_the_time_that_it_was_granted(
    home: Home,
    install: Callable[..., InstalledPlugin],
    environments: list[Environment],
    tier: str,
    granted: list[str],
    allowed: float,
) -> None:
    """One that loops is stopped after half, the whole, or four times the host's deadline."""
    package = install("create:loop", deadline=tier)
    Grants(home, EventBus()).grant(package.manifest, map(parse_grant, granted))
    error, seconds = _fails(home, Deadlines(create=0.4))
    assert isinstance(error, CallDeadline)
    assert [env.deadlines.create for env in environments] == [pytest.approx(allowed)]
    assert allowed <= seconds < allowed + 5  # a machine that is busy with other tests


def test_the_defaults_are_one() -> None:
    """What asks for more than the executor's own limit is what asks for a grant; no deadline outgrows its wait."""
    assert CELL_LIMITS.memory_bytes == DEFAULT_MEMORY_MIB * MIB
    patient = Deadlines().times(4.0)
    assert patient.wait > max(getattr(patient, name) for name in Deadlines.__struct_fields__ if name != "wait")
    assert Deadlines().times(0.5).wait == Deadlines().wait
    services = NoServices()
    assert (services.memory_mib, services.deadline_factor, services.denied_since(0.0)) == (None, 1.0, None)
