"""The facade for applications. Empty until the backend lands."""
