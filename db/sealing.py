"""Texts that a table keeps and the database cannot read: sealed under a key outside it, each bound to its row."""

import os
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Sealing"]

_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Sealing:
    """A key of 32 bytes; it hangs on the secret file."""

    _key: bytes = field(repr=False)

    def seal(self, row_id: UUID, words: str) -> bytes:
        """A text as it is stored: AES-256-GCM, bound to its row."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, words.encode(), row_id.bytes)

    def open(self, row_id: UUID, sealed: bytes) -> str:
        """The text. Raises `ValueError` where it was sealed for another row, under another key, or changed."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(self._key).decrypt(nonce, ciphertext, row_id.bytes).decode()
        except InvalidTag:
            raise ValueError("what is sealed cannot be opened with this secret file") from None
