"""What a sidecar sees of the machine: three tiers, and each one's rules for a start."""

from stellatune_plugins.host.sidecar.sandbox.confinement import Confinement
from stellatune_plugins.host.sidecar.sandbox.planning import has_unix_sockets, make_plan
from stellatune_plugins.host.sidecar.sandbox.tiers import Sandboxes, SandboxTier, detect

__all__ = ["Confinement", "SandboxTier", "Sandboxes", "detect", "has_unix_sockets", "make_plan"]
