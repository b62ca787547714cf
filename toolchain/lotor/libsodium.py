"""Where libsodium's C lies, which boot loaders are built with: in PyNaCl's source distribution.

`python -m lotor.libsodium`, which set-up runs, unpacks it beside the Python environment; nothing of
it is in Lotor.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lotor.errors import LotorError

VERSION = "pynacl-1.6.2"
SHA256 = "018494d6d696ae03c7e656e5e74cdfd8ea1326962cc401bcf018f1ed8436811c"
VARIABLE = "LOTOR_LIBSODIUM"
# SHA-256, SHA-512, Ed25519: what checking a signature takes.
SOURCES = (
    "crypto_core/ed25519/ref10/ed25519_ref10.c",
    "crypto_hash/sha256/cp/hash_sha256_cp.c",
    "crypto_hash/sha512/cp/hash_sha512_cp.c",
    "crypto_sign/ed25519/ref10/open.c",
    "crypto_verify/verify.c",
)
COMMAND = f"{sys.executable} -m lotor.libsodium"

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
            f"`{COMMAND}` gets them, or {VARIABLE} names their folder"
        )
    return sources


def include(sources: Path) -> list[Path]:
    """Return the folders of its headers; VERSION_HEADER goes into one more."""
    return [sources / "include/sodium", sources / "include"]


def get() -> Path:
    """Download the source distribution with pip, check its hash, and unpack libsodium's C.

    Returns:
        The folder, beside the Python environment; with a file `complete`.

    Raises:
        LotorError: pip did not get it, or it is another file than wanted.
    """
    place = Path(sys.prefix) / "src" / VERSION
    wanted = f"{VERSION.replace('-', '==')} --hash=sha256:{SHA256}\n"
    options = ["--quiet", "--no-deps", "--no-binary", "pynacl", "--require-hashes"]
    with tempfile.TemporaryDirectory(prefix="lotor-") as work:
        (Path(work) / "wanted.txt").write_text(wanted)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "-r", "wanted.txt"],
            cwd=work,
            env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stderr.split())[-300:] or "nothing"
            raise LotorError(f"pip did not get {VERSION}: {said}; internet is needed once")
        shutil.rmtree(place, ignore_errors=True)
        _unpack(Path(work) / f"{VERSION}.tar.gz", place)
    (place / "complete").touch()
    return place


def _unpack(archive: Path, place: Path) -> None:
    """Write the files of libsodium's sources, and its licence."""
    kept = f"{VERSION}/src/libsodium/src/libsodium/", f"{VERSION}/src/libsodium/LICENSE"
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(kept):
                to = place / member.name.removeprefix(f"{VERSION}/")
                to.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as data, to.open("wb") as file:  # type: ignore[union-attr]
                    shutil.copyfileobj(data, file)


if __name__ == "__main__":
    try:
        print(get())
    except LotorError as error:
        sys.exit(f"lotor: {error}")
