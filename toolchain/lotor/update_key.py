"""Keys that sign updates: Ed25519 (RFC 8032) through PyNaCl, one in a file.

The file has one line of text: the kind, and the secret seed of 32 bytes in hexadecimal.
"""

import hashlib
import os
from pathlib import Path

from lotor.errors import LotorError

VARIABLE = "LOTOR_UPDATE_KEY"
_KIND = "lotor-update-key-1"
_SEED_BYTES = 32
_ID_BYTES = 8


class Key:
    """A key that signs; `public` is the half that boot loaders are built with, 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        try:
            from nacl.signing import SigningKey
        except ImportError as error:
            raise LotorError("pynacl is missing: `pip install 'lotor[flash]'`") from error
        self._key = SigningKey(seed)
        self.public = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes."""
        return bytes(self._key.sign(message).signature)


def key_id(public: bytes | None) -> str:
    """Return how a board names its key: 8 bytes of SHA-256, hexadecimal; zeros without a key."""
    return hashlib.sha256(public).digest()[:_ID_BYTES].hex() if public else bytes(_ID_BYTES).hex()


def make_key(path: Path) -> Key:
    """Make a key and write it to a new file that only its owner can read.

    Raises:
        LotorError: the file exists, or cannot be written.
    """
    seed = os.urandom(_SEED_BYTES)
    key = Key(seed)
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise LotorError(
            f"{path} exists and is left alone: boards may know its key; name another file"
        ) from error
    except OSError as error:
        raise LotorError(f"cannot write {path}: {error.strerror}") from error
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(f"{_KIND} {seed.hex()}\n")
    return key


def read_key(path: str | Path | None) -> Key | None:
    """Return the key in a file, or the one that LOTOR_UPDATE_KEY names; None where neither does.

    Raises:
        LotorError: no such file, or no key in it.
    """
    path = path or os.environ.get(VARIABLE) or None
    if path is None:
        return None
    try:
        words = Path(path).read_text(encoding="ascii").split()
        if len(words) != 2 or words[0] != _KIND or len(words[1]) != 2 * _SEED_BYTES:
            raise ValueError
        return Key(bytes.fromhex(words[1]))
    except OSError as error:
        raise LotorError(f"cannot read key file {path}: {error.strerror}") from error
    except ValueError as error:
        raise LotorError(f"{path} is no key file: `lotor update-key FILE` makes one") from error
