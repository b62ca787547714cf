"""The stand-in's platform: everything is in its builder."""

from platformio.public import PlatformBase


class Espressif32Platform(PlatformBase):
    """A platform whose compiler is this machine's."""
