"""Words for people, in five languages: catalogues read at start-up, and which language a request wants.

A message is a key with facts; sentences stand in `words/<language>.po` and `words/<language>.<part>.po`. A missing
message is a mistake of ours that the tests find, so at run time English steps in rather than an error.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.pofile import read_po

__all__ = ["DEFAULT", "LANGUAGES", "SLIP_LANGUAGES", "catalogue", "knows", "language_of", "say"]

LANGUAGES: Final = ("en", "fr", "it", "es", "ar")
SLIP_LANGUAGES: Final = (*LANGUAGES, "de", "pt")
"""The slip speaks these: its words stand in `words/<language>.slip.po`."""
DEFAULT: Final = "en"
_WORDS = Path(__file__).with_name("words")


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every message of a language by its key."""
    messages: dict[str, str] = {}
    for file in sorted(_WORDS.glob(f"{language}*.po")):
        with file.open("rb") as opened:
            for message in read_po(opened, locale=language):
                if message.id:
                    messages[str(message.id)] = str(message.string)
    return messages


class _Facts(dict[str, str | int]):
    """Facts of a sentence; one that was not given is left open rather than losing the whole answer."""

    def __missing__(self, _name: str) -> str:
        return "…"


def knows(key: str) -> bool:
    """Whether there is a sentence for this key."""
    return key in catalogue(DEFAULT)


def say(key: str, language: str, /, **facts: str | int) -> str:
    """The sentence for a key, with its facts put in."""
    sentence = catalogue(language).get(key) or catalogue(DEFAULT)[key]
    return sentence.format_map(_Facts(facts))


def language_of(accepted: str | None, among: Collection[str] = LANGUAGES) -> str:
    """The best of these languages for an `Accept-Language` header (RFC 9110, § 12.5.4); English when none is wanted."""
    wanted: list[tuple[float, int, str]] = []
    for position, part in enumerate((accepted or "")[:400].split(",")):
        tag, _, parameter = part.partition(";")
        language = tag.strip().partition("-")[0].lower()
        weight = _weight(parameter)
        if weight > 0 and (language in among or language == "*"):
            wanted.append((-weight, position, DEFAULT if language == "*" else language))
    return min(wanted)[2] if wanted else DEFAULT


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0) if name.strip().lower() == "q" else 1.0
    except ValueError:
        return 0.0
