"""``stellatune source``: one file a command."""
