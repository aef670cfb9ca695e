"""Triptych: generative models inside the tools that artists already use."""

__version__ = "0.1.0"
