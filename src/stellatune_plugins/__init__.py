"""Stellatune's plugin system: sandboxed WebAssembly plugins beside native ones."""

__all__ = ["__version__"]

__version__ = "0.1.0"
