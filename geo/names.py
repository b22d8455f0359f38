"""Names of towns as people type them: without accents, case or hyphens, in any script."""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["fold", "starts_of"]

_UNDECOMPOSED = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ı": "i",
        "ħ": "h",
        "ŧ": "t",
        "ς": "σ",
        "ى": "ي",
        "ة": "ه",
        "ٱ": "ا",
        "ـ": None,
    }
)
"""Letters that Unicode does not take apart, and forms of one letter that people type for each other."""
_NOT_LETTERS = re.compile(r"[^\w]+|_+")
_SHORTEST_START = 3


def fold(name: str) -> str:
    """A name without accents, case, punctuation or double spaces; folding twice changes nothing.

    Empty for a name without a letter or digit.
    """
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(_UNDECOMPOSED)
    return " ".join(_NOT_LETTERS.sub(" ", bare).split())


def starts_of(name: str) -> Iterator[str]:
    """The folded name, and what is left of it from each later word of three letters or more.

    So that "perthus" finds Le Perthus, and "luz" Saint-Jean-de-Luz.
    """
    folded = fold(name)
    if not folded:
        return
    yield folded
    words = folded.split(" ")
    for index in range(1, len(words)):
        if len(words[index]) >= _SHORTEST_START:
            yield " ".join(words[index:])
