"""What a notification says: that something waits, and to open Relais. Never who, where, how many, or of what.

Whoever may see it (on a locked screen, in a mail provider's hands) learns no more than that.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.pofile import read_po

__all__ = ["NOTICE_LANGUAGES", "NoticeText", "notice_text"]

NOTICE_LANGUAGES: Final = ("en", "fr", "it", "es", "ar")
_WORDS: Final = Path(__file__).parent / "words"


@dataclass(frozen=True, slots=True)
class NoticeText:
    """A line, and the same with what to do."""

    subject: str
    body: str


def notice_text(happening: str, language: str, public_url: str | None) -> NoticeText:
    """The words for a happening (`awaits`, `expiring`, `confirmed`, `asked`, `test`), with the address where known.

    Raises `KeyError` for a happening or a language that there is not.
    """
    words = _catalogue(language)
    line = words[f"notice.{happening}"]
    way = words["notice.open.at"].format(address=public_url) if public_url else words["notice.open"]
    return NoticeText(f"Relais: {line}", f"{line}\n{way}")


@cache
def _catalogue(language: str) -> dict[str, str]:
    if language not in NOTICE_LANGUAGES:
        raise KeyError(language)
    with (_WORDS / f"{language}.notice.po").open("rb") as opened:
        return {str(each.id): str(each.string) for each in read_po(opened, locale=language) if each.id}
