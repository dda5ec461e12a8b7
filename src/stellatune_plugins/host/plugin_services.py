"""The real services of a plugin: its authority as of its activation, and what stands behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from stellatune_plugins.errors import StoreFailed
from stellatune_plugins.host.http import HttpService
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.services import ServedPlugin
from stellatune_plugins.host.sidecar import PluginSidecars, SidecarHost, SidecarService, SidecarSettings
from stellatune_plugins.host.stream import StreamService
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Authority, DenialLog, Grants
from stellatune_plugins.package.authority import Denial
from stellatune_plugins.package.installed import read_installed


class GrantedServices:
    """What one active plugin may have. Everything asks the same authority, and everything ends with :meth:`close`.

    Args:
        authority: what the plugin may do.
        network: its files and connections.
        sidecars: its helper programs.
        denials: hears what the authority denies.
    """

    def __init__(
        self, authority: Authority, network: PluginNetwork, sidecars: PluginSidecars, *, denials: DenialLog
    ) -> None:
        self.authority = authority
        self.streams: StreamService = network.streams
        self.http: HttpService = network.http
        self.sidecars: SidecarService = sidecars
        self._plugin_sidecars = sidecars
        self._denials = denials
        self._parts = contextlib.ExitStack()
        self._parts.callback(sidecars.close)
        self._parts.callback(network.close)

    @property
    def memory_mib(self) -> int | None:
        """Linear memory of one instance; ``None`` for the host's default."""
        return self.authority.memory_mib

    @property
    def deadline_factor(self) -> float:
        """What the deadlines of the plugin's calls are multiplied by."""
        return self.authority.deadline_tier.factor

    def start(self) -> None:
        """Before the first ``on-enable``: starts the sidecars that the manifest wants started.

        Raises:
            SidecarFailed: one that must run does not.
        """
        self._plugin_sidecars.start()

    def denied_since(self, moment: float) -> Denial | None:
        """The newest denial since a moment of the monotonic clock."""
        return self._denials.newest(self.authority.plugin, since=moment)

    def close(self) -> None:
        """After the last cell. May be called again."""
        self._parts.close()


class ServicesMaker:
    """A :class:`~stellatune_plugins.host.services.ServicesFactory` over one home.

    Args:
        home: whose grants count.
        bus: hears of denials.
        timeouts: of everything that can wait.
        sidecars: their limits and times.
        connect: makes a plugin's network; tests have their own resolver.
    """

    def __init__(
        self,
        home: Home,
        bus: EventBus,
        *,
        timeouts: HostTimeouts | None = None,
        sidecars: SidecarSettings | None = None,
        connect: Callable[[Authority, HostTimeouts], PluginNetwork] = PluginNetwork,
    ) -> None:
        self._grants = Grants(home, bus)
        self._timeouts = timeouts or HostTimeouts()
        self._connect = connect
        self.denials = DenialLog(self._grants.ledger, bus)
        self.sidecars = SidecarHost(home, bus, timeouts=self._timeouts, settings=sidecars)

    def __call__(self, plugin: ServedPlugin) -> GrantedServices:
        """The services of a plugin that is about to be activated, with what is granted to it at this moment.

        Raises:
            StateFailed: nobody can tell what is granted.
            StoreFailed: the package is damaged, or another version took its place.
        """
        manifest = read_installed(plugin.root).manifest
        if (manifest.id, manifest.version) != (plugin.plugin, plugin.version):
            raise StoreFailed(
                f"version {manifest.version} has taken the place of {plugin.version}",
                plugin=plugin.plugin,
                operation="activate",
                hint="look again at what is installed",
            )
        authority = self._grants.authority(manifest, plugin.root, on_denied=self.denials)
        return GrantedServices(
            authority,
            self._connect(authority, self._timeouts),
            self.sidecars.serve(authority, manifest.sidecars),
            denials=self.denials,
        )

    def close(self) -> None:
        """End every sidecar, and write down what is still to be written. May be called again."""
        self.sidecars.close()
        self.denials.close()
