"""From an installed package to the message that activates it."""

from __future__ import annotations

from stellatune_plugins.executor.messages import AbilityRef, Activate, ComponentRef
from stellatune_plugins.package.installed import InstalledPlugin


def activation_of(package: InstalledPlugin) -> Activate:
    """The plan for all components of a package."""
    return Activate(
        plugin=package.id,
        version=package.version,
        root=str(package.root),
        components=tuple(
            ComponentRef(
                id=component.id,
                path=component.path,
                world=component.world,
                abilities=tuple(AbilityRef(ability.kind, ability.type_id) for ability in component.abilities),
            )
            for component in package.manifest.components
        ),
    )
