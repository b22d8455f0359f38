"""Exact places, sealed: the database holds ciphertext, and the keys lie in a file that it never sees.

AES-256-GCM with a random nonce. The site's id and the part (place or address) are bound in, so that no ciphertext can
stand in for another's. What is sealed names its key by a mark; the file may hold several keys, one a line: the last
one seals, the others only open, so that keys can be changed while everything runs.
"""

import base64
import binascii
import hashlib
import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["MARK_BYTES", "Part", "Vault", "keys_of"]

MARK_BYTES: Final = 5
"""A sealed value begins with so many bytes that name its form and its key."""
_FIRST_FORM: Final = b"\x01"
"""Sealed before there could be two keys: without a mark, and bound to the site alone."""
_FORM: Final = b"\x02"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_NOT_OURS: Final = "a sealed place cannot be opened with this key"


class Part(Enum):
    """What of a site is sealed."""

    PLACE = b"place"
    ADDRESS = b"address"


def keys_of(path: Path) -> tuple[bytes, ...]:
    """The keys of a file, oldest first: 32 bytes in base64 a line. Raises `ValueError` where it is not that."""
    try:
        found = tuple(base64.b64decode(line, validate=True) for line in path.read_text().split())
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("the address key file is not base64: give 32 bytes written in base64") from None
    if not found or any(len(key) != _KEY_BYTES for key in found):
        raise ValueError("the address key is not 32 bytes: give the file that the addresses were sealed with")
    return found


class Vault:
    """Seals and opens what must not be read from the database."""

    def __init__(self, *keys: bytes, file: Path | None = None) -> None:
        self._file = file
        self._take(keys)

    @classmethod
    def of_file(cls, path: Path) -> "Vault":
        """The vault of a key file; a key added to it later is used from then on. Raises `ValueError`."""
        return cls(*keys_of(path), file=path)

    @property
    def mark(self) -> bytes:
        """What begins whatever is sealed from now on."""
        return self._newest

    def seal(self, site_id: UUID, part: Part, text: str) -> bytes:
        """Ciphertext of a text that belongs to a site, under the newest key."""
        self._look_again()
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._ciphers[self._newest]
        return self._newest + nonce + cipher.encrypt(nonce, text.encode(), _bound(self._newest, site_id, part))

    def open(self, site_id: UUID, part: Part, sealed: bytes) -> str:
        """The text. Raises `ValueError` when it was sealed for another site or part, with another key, or changed."""
        if sealed[:1] == _FIRST_FORM:
            return self._open_first_form(site_id, sealed)
        mark, nonce, ciphertext = sealed[:MARK_BYTES], sealed[MARK_BYTES:][:_NONCE_BYTES], sealed[MARK_BYTES:]
        if mark not in self._ciphers:
            self._look_again()
        if mark not in self._ciphers:
            raise ValueError(_NOT_OURS)
        try:
            return self._ciphers[mark].decrypt(nonce, ciphertext[_NONCE_BYTES:], _bound(mark, site_id, part)).decode()
        except InvalidTag:
            raise ValueError(_NOT_OURS) from None

    def _open_first_form(self, site_id: UUID, sealed: bytes) -> str:
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for cipher in self._ciphers.values():
            with suppress(InvalidTag):
                return cipher.decrypt(nonce, ciphertext, site_id.bytes).decode()
        raise ValueError(_NOT_OURS)

    def _look_again(self) -> None:
        if self._file is None:
            return
        # A file that is away or half copied at this moment takes nothing away from the keys that are known.
        with suppress(OSError, ValueError):
            self._take(keys_of(self._file))

    def _take(self, keys: tuple[bytes, ...]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError("the address key is not 32 bytes: give the file that the addresses were sealed with")
        self._ciphers = {_mark(key): AESGCM(key) for key in keys}
        self._newest = _mark(keys[-1])


def _mark(key: bytes) -> bytes:
    return _FORM + hashlib.sha256(b"relais address key" + key).digest()[: MARK_BYTES - 1]


def _bound(mark: bytes, site_id: UUID, part: Part) -> bytes:
    return mark + site_id.bytes + part.value
