"""A file that waits in a page until it is said what to do with it, sealed for its session: no page shows what is in it.

So it is kept nowhere else: not on a disk, not in the database, and not in the clear on the device.
"""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["opened", "sealed"]

_NONCE_BYTES: Final = 12


def sealed(key: bytes, bound: bytes, content: bytes) -> str:
    """The content as a field of a form holds it (AES-256-GCM); only with the same key and bound is it opened."""
    nonce = os.urandom(_NONCE_BYTES)
    return base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, content, bound)).decode()


def opened(key: bytes, bound: bytes, written: str) -> bytes | None:
    """The content again; `None` for what was not sealed so."""
    try:
        raw = base64.urlsafe_b64decode(written.encode("ascii"))
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound)
    except (InvalidTag, binascii.Error, UnicodeEncodeError, ValueError):
        return None
