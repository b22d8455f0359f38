"""Looks for many strings at once in whatever can be read, in every form in which a program might have written them.

Exact: a string is found when its bytes stand there in one of the forms, wherever that is; not when they were
compressed, encrypted or cut. Who gathers what is looked at takes care that nothing is compressed.
"""

import base64
import json
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from urllib.parse import quote, quote_plus

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scanner", "forms"]

_WINDOW = 8
"""Bytes by which a string is first recognized; no form is shorter."""
_BATCH = 4_000_000
"""Bytes of small things that are looked through together."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_BITS = 22
_SHIFT = np.uint64(64 - _BITS)


def forms(text: str) -> set[bytes]:
    """The bytes of a string: its cases, composed and not, without accents; each in every encoding."""
    folded = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    written = {text, text.lower(), text.upper(), unicodedata.normalize("NFD", text), folded, folded.lower()}
    return {made for each in written for made in _encoded(each)}


def _encoded(text: str) -> Iterator[bytes]:
    plain = text.encode()
    yield plain
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    escaped = json.dumps(text)[1:-1].encode()
    yield escaped
    yield json.dumps(escaped.decode())[1:-1].encode()
    yield repr(plain)[2:-1].encode()
    yield quote(text, safe="").encode()
    yield quote(text).encode()
    yield quote_plus(text).encode()
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield plain.decode("latin-1").encode()  # read as Latin-1 and written as UTF-8, as servers do with headers
    for shift in range(3):
        # What stands before it moves the letters of base64; its first and last may hold neighbours' bits.
        yield base64.b64encode(b"\0" * shift + plain).rstrip(b"=")[4 if shift else 0 : -1]


class Scanner:
    """Finds any of these strings."""

    def __init__(self, strings: Collection[str]) -> None:
        self._forms: dict[int, dict[int, dict[bytes, str]]] = defaultdict(lambda: defaultdict(dict))
        """By its first bytes and by its length."""
        for text in strings:
            for form in forms(text):
                if len(form) < _WINDOW:
                    raise ValueError("a string is too short to be looked for")
                self._forms[int.from_bytes(form[:_WINDOW], "little")][len(form)][form] = text
        self._maybe = np.zeros(1 << _BITS, dtype=np.bool_)
        self._maybe[(np.array(list(self._forms), dtype=np.uint64) * _SPREAD) >> _SHIFT] = True

    def places(self, kept: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
        """Where strings stand, of what is kept in many places, and which."""
        places: dict[str, set[str]] = {}
        batch: list[tuple[str, bytes]] = []
        size = 0
        for each in chain(kept, [("", b"")]):
            batch.append(each)
            size += len(each[1])
            if size < _BATCH and each[0]:
                continue
            if self.found(b"\0".join(content for _, content in batch)):
                for place, content in batch:
                    if found := self.found(content):
                        places[place] = places.get(place, set()) | found
            batch, size = [], 0
        return places

    def found(self, content: bytes) -> set[str]:
        """Which of the strings stand in the content."""
        hits = set()
        for shift in range(min(_WINDOW, len(content) - _WINDOW + 1)):
            windows: NDArray[np.uint64] = np.frombuffer(
                content, dtype="<u8", offset=shift, count=(len(content) - shift) // _WINDOW
            )
            for at in np.flatnonzero(self._maybe[(windows * _SPREAD) >> _SHIFT]).tolist():
                place = shift + at * _WINDOW
                for length, known in self._forms.get(int(windows[at]), {}).items():
                    text = known.get(content[place : place + length])
                    if text is not None:
                        hits.add(text)
        return hits
