"""Cells, worlds, and the message-shaped executor contract."""
