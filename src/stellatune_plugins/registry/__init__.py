"""Which plugin serves what: the capability index."""
