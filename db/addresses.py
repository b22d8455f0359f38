"""Exact places, sealed: the database holds ciphertext, and the key lies in a file that it never sees.

AES-256-GCM with a random nonce; the site's id is bound in, so that one site's ciphertext cannot stand in for
another's. The first byte names the key, for the day when there are two.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Vault"]

_KEY: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_NOT_OURS: Final = "a sealed place cannot be opened with this key"


class Vault:
    """Seals and opens what must not be read from the database."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError("the address key is not 32 bytes: give the file that the addresses were sealed with")
        self._cipher = AESGCM(key)

    @classmethod
    def of_file(cls, path: Path) -> "Vault":
        """The vault of a key file: 32 bytes in base64. Raises `ValueError` where it is not one."""
        try:
            return cls(base64.b64decode(path.read_text().strip(), validate=True))
        except binascii.Error:
            raise ValueError("the address key file is not base64: give 32 bytes written in base64") from None

    def seal(self, site_id: UUID, text: str) -> bytes:
        """Ciphertext of a text that belongs to a site."""
        nonce = os.urandom(_NONCE_BYTES)
        return _KEY + nonce + self._cipher.encrypt(nonce, text.encode(), site_id.bytes)

    def open(self, site_id: UUID, sealed: bytes) -> str:
        """The text. Raises `ValueError` when it was sealed for another site, with another key, or was changed."""
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _KEY:
            raise ValueError(_NOT_OURS)
        try:
            return self._cipher.decrypt(nonce, ciphertext, site_id.bytes).decode()
        except InvalidTag:
            raise ValueError(_NOT_OURS) from None
