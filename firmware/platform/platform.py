"""A platform of PlatformIO without packages: the compiler is the operating system's."""

from platformio.public import PlatformBase


class LotorPlatform(PlatformBase):
    """Everything that differs between boards arrives in the image description of the build."""
