"""The audio pipeline."""
