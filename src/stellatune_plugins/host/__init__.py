"""What guests may ask for: streams, HTTP, sidecars. Empty until host services land."""
