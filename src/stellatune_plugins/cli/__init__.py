"""The command line: one file a command. It is a client of the public Python API like any other."""

from stellatune_plugins.cli.entry import main

__all__ = ["main"]
