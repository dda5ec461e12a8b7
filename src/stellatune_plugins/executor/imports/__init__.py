"""One file an interface that guests import."""

from stellatune_plugins.executor.imports.host import host_imports

__all__ = ["host_imports"]
