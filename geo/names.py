"""Names of towns as people type them: without accents, case or hyphens, in any script."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["fold", "starts_of"]

_UNDECOMPOSED = {
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
    "ی": "ي",
    "ک": "ك",
    "ـ": "",
    "ʼ": " ",
    "ʻ": " ",
}
"""Letters that Unicode does not take apart, forms of one letter that people type for each other (Persian keyboards
have their own yeh and kaf), and apostrophes that Unicode counts as letters."""
_SHORTEST_START = 3


def fold(name: str) -> str:
    """A name without accents, case, punctuation or double spaces; folding twice changes nothing.

    Empty for a name without a letter or digit.
    """
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return " ".join("".join(map(_bare, apart)).split())


def starts_of(name: str) -> Iterator[str]:
    """The folded name, and the name turned to each later word of three letters or more, as "perthus, le".

    So that "perthus" finds Le Perthus, and "luz" Saint-Jean-de-Luz. The comma, which no folded name has, keeps what
    a name ends with apart from a whole name: Paris is not hidden by a larger place that ends with it.
    """
    folded = fold(name)
    if not folded:
        return
    yield folded
    words = folded.split(" ")
    for index in range(1, len(words)):
        if len(words[index]) >= _SHORTEST_START:
            yield f"{' '.join(words[index:])}, {' '.join(words[:index])}"


@lru_cache(maxsize=8192)
def _bare(letter: str) -> str:
    if letter in _UNDECOMPOSED:
        return _UNDECOMPOSED[letter]
    category = unicodedata.category(letter)
    # Vowels of Indic scripts are marks that combine with nothing; signs of direction come along with pasted text.
    if unicodedata.combining(letter) or category == "Cf":
        return ""
    return letter if letter.isalnum() or category.startswith("M") else " "
