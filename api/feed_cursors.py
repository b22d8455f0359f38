"""Cursors of the feed: a place in it, sealed for one organization.

A place is made of the database's own numbers, and these tell how much happens in the whole network. So it is sealed
(AES-SIV, RFC 5297) with the organization as associated data: it says nothing, cannot be made up, and opens for nobody
else. The same place is always the same cursor.
"""

import base64
import binascii
import struct
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from db.feed import Mark

__all__ = ["LENGTH", "FeedCursors"]

_PLACE: Final = struct.Struct(">IQQ")
_SEALED: Final = _PLACE.size + 16
LENGTH: Final = 4 * (_SEALED // 3)
"""Letters of a cursor."""


class FeedCursors:
    """Seals and opens cursors under a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def seal(self, mark: Mark, organization_id: UUID) -> str:
        """The cursor of a place."""
        place = _PLACE.pack(mark.era, mark.transaction, mark.number)
        return base64.urlsafe_b64encode(self._cipher.encrypt(place, [organization_id.bytes])).decode()

    def open(self, written: str, organization_id: UUID) -> Mark | None:
        """The place of a cursor; `None` where this organization was never given it."""
        try:
            sealed = base64.b64decode(written.encode("ascii"), altchars=b"-_", validate=True)
            return Mark(*_PLACE.unpack(self._cipher.decrypt(sealed, [organization_id.bytes])))
        except (UnicodeEncodeError, binascii.Error, InvalidTag, ValueError, struct.error):
            return None
