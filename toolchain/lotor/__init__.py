"""Lotor: small vision models, compiled ahead of time to C and proved on the device."""

__version__ = "0.1.0"
