"""Sottovoce lets an audio application hear only what its user permitted."""

__version__ = "0.1.0"
