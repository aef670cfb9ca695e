"""Triptych: generative models inside artists' tools."""

__version__ = "0.1.0"
