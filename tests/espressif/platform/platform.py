"""The stand-in's platform: everything is in its builder."""

from platformio.public import PlatformBase


class Espressif32Platform(PlatformBase):  # type: ignore[misc]  # PlatformIO has no types
    """A platform whose compiler is this machine's."""
