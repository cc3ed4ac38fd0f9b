"""Ed25519 keys that records are signed and checked with, read from PEM files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sottovoce.errors import ConfigError, MissingExtraError
from sottovoce.files import read_bytes

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "signatures need the package cryptography, which is not installed: pip install 'sottovoce[sign]'."
    ) from error

_LARGEST_BYTES = 1 << 14
_P = (1 << 255) - 19
# The y coordinates of the points of small order: 1, 2, 4, and twice 8. Under such a key a signature that nobody made
# passes for every message, or for one in a few, and OpenSSL does not refuse it.
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = {0, 1, _P - 1, _Y8, _P - _Y8}
_MAKE = "make a pair with `openssl genpkey -algorithm ed25519 -out KEY` and `openssl pkey -in KEY -pubout -out PUB`."


def private_key(path: Path, out: Path) -> Ed25519PrivateKey:
    """The key in a file, to sign what is written to the folder `out`.

    ConfigError for a file that holds no Ed25519 key in PEM, or that lies in `out`, with which it would be passed on.
    """
    expected = "expected a private Ed25519 key in PEM (PKCS #8)"
    if "-----BEGIN" in str(path):
        raise ConfigError("--sign got a key itself; expected the path of its file, since others can see command lines.")
    if out.resolve() in path.resolve().parents:
        raise ConfigError(f"the private key {path} lies in the folder that will be passed on; keep it elsewhere.")
    content = read_bytes(path, _LARGEST_BYTES)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise ConfigError(
            f"{path} is encrypted; expected a key without a password: decrypt it with `openssl pkey -in {path.name} "
            "-out PLAIN`, and keep that file for yourself alone."
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is no key that can be read; {expected}: {_MAKE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} holds a key of another kind ({_kind(key)}); {expected}: {_MAKE}")
    return key


def public_key(path: Path, folder: Path) -> Ed25519PublicKey:
    """The key in a file, to check the record in `folder`.

    ConfigError for a file that holds no public Ed25519 key in PEM, or one under which everybody can sign, and for a
    file in `folder`, which a forger could have put there.
    """
    expected = "expected a public Ed25519 key in PEM"
    if folder.resolve() in path.resolve().parents:
        raise ConfigError(
            f"the key {path} came with the record, so that a forger could have put it there; get it from the auditor."
        )
    content = read_bytes(path, _LARGEST_BYTES)
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{path} holds a private key; {expected}: `openssl pkey -in {path.name} -pubout -out PUB`.")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is no key that can be read; {expected}: {_MAKE}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} holds a key of another kind ({_kind(key)}); {expected}: {_MAKE}")
    y = int.from_bytes(key.public_bytes_raw(), "little") & ((1 << 255) - 1)
    if y % _P in _SMALL_ORDER:
        raise ConfigError(f"{path} holds a key under which everybody can sign (a point of small order): {_MAKE}")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """By what a public key is known: the SHA-256 of its 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def signed(key: Ed25519PublicKey, content: bytes, signature: bytes) -> bool:
    """Whether the holder of a key signed this content."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _kind(key: Any) -> str:
    return type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").lstrip("_")
