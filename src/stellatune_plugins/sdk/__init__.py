"""For plugin authors. Empty until the kit lands."""
