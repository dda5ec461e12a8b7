"""The services of a plugin are those of its grants, as they were when it was activated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import StateDamaged, StoreFailed
from stellatune_plugins.host.plugin_services import ServicesMaker
from stellatune_plugins.host.services import ServedPlugin
from stellatune_plugins.model import Home, PluginId
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Grants, InstalledPlugin, InstallStore, parse_grant

PLUGIN = PluginId("org.example.asking")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of the test's own."""
    return Home(tmp_path / "home")


@pytest.fixture
def maker(home: Home) -> Iterator[ServicesMaker]:
    """Makes services from that home's grants."""
    maker = ServicesMaker(home, EventBus())
    yield maker
    maker.close()


@pytest.fixture
def install(home: Home, tmp_path: Path) -> Callable[..., InstalledPlugin]:
    """Install a plugin that asks for something."""

    def install(version: str = "1.0.0", **permissions: Any) -> InstalledPlugin:
        folder = tmp_path / version
        (folder / "wasm").mkdir(parents=True)
        (folder / "wasm/x.wasm").write_bytes(b"\0asm\x0d\x00\x01\x00")
        component = {
            "id": "main",
            "path": "wasm/x.wasm",
            "world": "stellatune:plugin/source-plugin@0.1.0",
            "abilities": [{"kind": "source", "type_id": "x"}],
        }
        manifest = {
            "schema_version": 1,
            "id": PLUGIN,
            "name": "Asking",
            "version": version,
            "api_version": 1,
            "components": [component],
            "permissions": permissions,
        }
        (folder / "plugin.json").write_text(json.dumps(manifest))
        store = InstallStore(home.plugins, EventBus(), grants=Grants(home, EventBus()))
        if any(plugin.id == PLUGIN for plugin in store.list()):
            return store.upgrade(folder)
        return store.install(folder)

    return install


def served(plugin: InstalledPlugin) -> ServedPlugin:
    """As the executor asks for it."""
    return ServedPlugin(plugin=plugin.id, version=plugin.version, root=plugin.root)


def test_what_is_granted_counts_from_the_next_activation(
    home: Home, maker: ServicesMaker, install: Callable[..., InstalledPlugin]
) -> None:
    """Neither a grant nor a revocation changes services that were handed out."""
    plugin = install(hosts=["a.example.org"], memory_mib=512, deadline="patient")
    grants = Grants(home, EventBus())
    before = maker(served(plugin))
    assert (before.memory_mib, before.deadline_factor) == (None, 1.0)
    grants.grant(plugin.manifest, map(parse_grant, ["host:https://a.example.org", "memory:512", "deadline:patient"]))
    during = maker(served(plugin))
    assert not before.authority.may_connect("https", "a.example.org", 443)
    assert during.authority.may_connect("https", "a.example.org", 443)
    assert (during.memory_mib, during.deadline_factor) == (512, 4.0)
    grants.revoke(plugin.manifest)
    assert during.authority.may_connect("https", "a.example.org", 443)
    after = maker(served(plugin))
    assert not after.authority.granted
    for services in (before, during, after):
        services.close()
        services.close()


def test_services_of_a_version_that_is_gone_are_not_made(
    maker: ServicesMaker, install: Callable[..., InstalledPlugin]
) -> None:
    """The code of one version never has the grants of another."""
    old = install("1.0.0")
    install("2.0.0")
    with pytest.raises(StoreFailed, match="has taken the place"):
        maker(served(old))


def test_a_plugin_that_asks_for_nothing_needs_no_database(
    home: Home, maker: ServicesMaker, install: Callable[..., InstalledPlugin]
) -> None:
    """Its music plays on, whatever became of the grants of others."""
    plain = install()
    home.grants.write_bytes(b"\xff" * 4096)
    home.grants.chmod(0o600)
    services = maker(served(plain))
    assert not services.authority.granted
    services.close()


def test_a_denial_is_found_by_its_time(maker: ServicesMaker, install: Callable[..., InstalledPlugin]) -> None:
    """The executor asks for it after a call that a guest answered with ``denied``."""
    services = maker(served(install()))
    before = maker.denials.now()
    services.authority.denied("connect to", "https://x.example", "host:https://x.example")
    denial = services.denied_since(before)
    assert denial is not None
    assert (denial.wanted, denial.grant) == ("https://x.example", "host:https://x.example")
    assert services.denied_since(maker.denials.now() + 1) is None


def test_a_ruined_database_keeps_an_asking_plugin_from_its_services(
    home: Home, maker: ServicesMaker, install: Callable[..., InstalledPlugin]
) -> None:
    """It is an error, not an activation without grants: the user would look for the fault in the plugin."""
    plugin = install(hosts=["a.example.org"])
    home.grants.write_bytes(b"\xff" * 4096)
    home.grants.chmod(0o600)
    with pytest.raises(StateDamaged):
        maker(served(plugin))
