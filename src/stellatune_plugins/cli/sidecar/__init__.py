"""``stellatune sidecar``: one file a command."""
