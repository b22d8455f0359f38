"""Slip codes: how the people of a need find their own slip, without an account.

A code is derived from the need's id, so that it can be shown again and nothing stores it. The need is filed under a
keyed hash of its code, by a key of its own: a copy of the database gives no code, and no way to try one.
"""

import hmac
import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from db.settings import Keys

__all__ = ["LONGEST_WRITTEN", "SlipKeys", "code_in", "grouped", "slip_code"]

LONGEST_WRITTEN: Final = 200
"""Characters of a code as somebody may write it, with digits in words and everything between."""
_LETTERS: Final = "2346789ACDEFGHJKMNPQRTVWXY"
"""Nothing that is mistaken for another, in writing or on the phone: no 0 and O, 1 and I and L, 5 and S, B, U, Z."""
_LENGTH: Final = 15
_GROUP: Final = 5
_LIKE: Final = {
    # What is no letter of ours, and the one of ours that it was most likely read from.
    **dict(zip("BZU0O1", "82VQQ7", strict=True)),
    # Cyrillic and Greek capitals that look like ours.
    **dict(zip("АВСЕНКМРТХУ", "A8CEHKMPTXY", strict=True)),
    **dict(zip("ΑΒΕΗΚΜΝΡΤΧΥ", "A8EHKMNPTXY", strict=True)),
}
_WORDS: Final = {
    "2": "two deux due dos zwei zwo dois اثنان اثنين إثنان تنين",
    "3": "three trois tre tres drei três ثلاثة تلاتة",
    "4": "four quatre quattro cuatro vier quatro أربعة اربعة",
    "6": "six sei seis sechs ستة",
    "7": "seven sept sette siete sieben sete سبعة",
    "8": "eight huit otto ocho acht oito ثمانية تمانية",
    "9": "nine neuf nove nueve neun تسعة",
}
_DIGIT_OF: Final = {word.upper(): digit for digit, words in _WORDS.items() for word in words.split()}
_NO_LETTER: Final = re.compile(r"[\W_]+")


def slip_code(need_id: UUID, key: bytes) -> str:
    """The code of a need's slip, 70 bits in three groups of five such as `K7QF4-2MRX9-TDWAH`."""
    return grouped(_letters(need_id, key))


def grouped(letters: str) -> str:
    """The letters of a code as they are written: in groups."""
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def code_in(written: str) -> str:
    """The fifteen letters that somebody most likely means; anything, where it is no code.

    Case, spaces, dashes and dots, digits of any script, digits in words of seven languages and letters that look alike
    are forgiven. What reads as a code as it stands is never read as words.
    """
    parts = _NO_LETTER.split(_plain(written[:LONGEST_WRITTEN]))
    as_it_stands = "".join(parts)
    if len(as_it_stands) != _LENGTH:
        as_it_stands = "".join(_DIGIT_OF.get(part, part) for part in parts)
    return "".join(_LIKE.get(letter, letter) for letter in as_it_stands)


@dataclass(frozen=True, slots=True)
class SlipKeys:
    """The two keys of slips: one that codes are derived under, one that they are filed under."""

    deriving: bytes
    filing: bytes

    @classmethod
    def of(cls, keys: Keys) -> "SlipKeys":
        """Those of the house's secret."""
        return cls(keys.of("slip"), keys.of("slip-file"))

    def filed(self, need_id: UUID) -> bytes:
        """Under what a need is filed: 32 bytes."""
        return self._filed(_letters(need_id, self.deriving))

    def sought(self, written: str) -> bytes:
        """Under what the need of this code would be filed; for what is no code, under what nothing is."""
        return self._filed(code_in(written))

    def _filed(self, letters: str) -> bytes:
        return hmac.digest(self.filing, letters.encode(), "sha256")


def _letters(need_id: UUID, key: bytes) -> str:
    number = int.from_bytes(hmac.digest(key, need_id.bytes, "sha256"))
    letters = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(letters)


def _plain(written: str) -> str:
    """In capitals, with the digits of every script as ours and full-width letters as narrow ones."""
    narrow = unicodedata.normalize("NFKC", written)
    digits = "".join(str(unicodedata.decimal(letter, letter)) for letter in narrow)
    return digits.upper()
