"""``stellatune plugin``: one file a command."""
