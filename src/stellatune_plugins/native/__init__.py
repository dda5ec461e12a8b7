"""The native runtime: plugins found through entry points."""
