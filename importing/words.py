"""What people write in cells and headers, as the codes of the vocabularies: five languages, whatever the accents."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel import Locale

from geo.names import fold
from matching.vocabulary import LANGUAGES

__all__ = ["code_of", "headers", "language_code"]

_TONGUES = ("en", "fr", "it", "es", "ar")
_FOLDER = Path(__file__).parent


def code_of(group: str, text: str) -> str | None:
    """The code of a group of `words.toml` that a text stands for, if there is one."""
    return _words()[group].get(_folded(text))


@cache
def language_code(text: str) -> str | None:
    """The code of a language, by its code or its name in one of five languages."""
    if text.lower() in LANGUAGES:
        return text.lower()
    return code_of("language", text) or _names_of_languages().get(fold(text))


@cache
def headers(kind: str) -> Mapping[str, str]:
    """What a column may be called (folded), by kind of file: our name of it; `refused` has no name of ours."""
    found: dict[str, str] = {}
    with (_FOLDER / "headers.toml").open("rb") as opened:
        groups = tomllib.load(opened)
    for part in ("shared", kind) if kind in groups and kind != "refused" else (kind,):
        for ours, written in groups[part].items():
            found |= {fold(each): ours for each in (ours, *written)}
    return found


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    with (_FOLDER / "words.toml").open("rb") as opened:
        groups = tomllib.load(opened)
    return {
        group: {_folded(each): code for code, written in codes.items() for each in (code, *written)}
        for group, codes in groups.items()
    }


@cache
def _names_of_languages() -> Mapping[str, str]:
    return {
        fold(name): code for tongue in _TONGUES for code, name in Locale(tongue).languages.items() if code in LANGUAGES
    }


def _folded(text: str) -> str:
    # A sign alone folds to nothing, and nothing must not stand for anything.
    return fold(text) or text.strip()
