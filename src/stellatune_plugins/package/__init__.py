"""Packages: manifest, sources, install store, receipts, permissions."""
