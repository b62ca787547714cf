"""Where libsodium's C lies, which boot loaders are built with: in PyNaCl's source distribution.

Set-up unpacks it beside the Python environment (tools/get-libsodium); nothing of it is in Lotor.
"""

import os
import sys
from pathlib import Path

from lotor.errors import LotorError

VERSION = "pynacl-1.6.2"
VARIABLE = "LOTOR_LIBSODIUM"
# SHA-256, SHA-512, Ed25519: what checking a signature takes.
SOURCES = (
    "crypto_core/ed25519/ref10/ed25519_ref10.c",
    "crypto_hash/sha256/cp/hash_sha256_cp.c",
    "crypto_hash/sha512/cp/hash_sha512_cp.c",
    "crypto_sign/ed25519/ref10/open.c",
    "crypto_verify/verify.c",
)

# libsodium's own configure would write it.
VERSION_HEADER = '#ifndef sodium_version_H\n#define sodium_version_H\n#include "export.h"\n#endif\n'
DEFINES = ("-DCONFIGURED=1",)


def find() -> Path:
    """Return the folder of libsodium's sources.

    Raises:
        LotorError: it is not there; says what to type.
    """
    folder = Path(os.environ.get(VARIABLE) or Path(sys.prefix) / "src" / VERSION)
    sources = folder / "src/libsodium/src/libsodium"
    if not all((sources / name).exists() for name in SOURCES):
        raise LotorError(
            f"libsodium's sources, for the boot loader, are not in {folder}: "
            f"`tools/get-libsodium` of a checkout gets them, or {VARIABLE} names their folder"
        )
    return sources


def include(sources: Path) -> list[Path]:
    """Return the folders of its headers; VERSION_HEADER goes into one more."""
    return [sources / "include/sodium", sources / "include"]
