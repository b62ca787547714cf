"""Lotor: small vision models, compiled ahead of time to C and proved on the device."""

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lotor.host import HostModel, load

__all__ = ["HostModel", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # Late, so that `lotor --help` needs neither numpy nor cffi.
    if name in ("load", "HostModel"):
        from lotor import host

        return getattr(host, name)
    raise AttributeError(f"module 'lotor' has no attribute '{name}'")
