"""The words of the monthly report, in five languages. What sets the paper stands apart: it takes a while to load."""

from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.pofile import read_po

__all__ = ["REPORT_LANGUAGES", "report_word"]

REPORT_LANGUAGES: Final = ("en", "fr", "it", "es", "ar")
_HERE: Final = Path(__file__).parent


def report_word(key: str, language: str, /, **facts: str) -> str:
    """What the report says for a key, with its facts put in. Raises `KeyError` for one that there is not."""
    sentence = _catalogue(language)[f"report.{key}"]
    return sentence.format(**facts) if facts else sentence


@cache
def _catalogue(language: str) -> dict[str, str]:
    with (_HERE / "words" / f"{language}.report.po").open("rb") as opened:
        return {str(each.id): str(each.string) for each in read_po(opened, locale=language) if each.id}
