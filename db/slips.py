"""Slip codes: how the people of a need find their own slip, without an account.

A code is derived from the need's id, so that it can be shown again and nothing stores it.
"""

import hmac
from typing import Final
from uuid import UUID

__all__ = ["slip_code"]

_LETTERS: Final = "2346789ACDEFGHJKMNPQRTVWXY"
"""Nothing that is mistaken for another, in writing or on the phone: no 0 and O, 1 and I and L, 5 and S, B, U, Z."""
_LENGTH: Final = 15
_GROUP: Final = 5


def slip_code(need_id: UUID, key: bytes) -> str:
    """The code of a need's slip, 70 bits in three groups of five such as `K7QF4-2MRX9-TDWAH`."""
    number = int.from_bytes(hmac.digest(key, need_id.bytes, "sha256"))
    letters = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "-".join("".join(letters[start : start + _GROUP]) for start in range(0, _LENGTH, _GROUP))
