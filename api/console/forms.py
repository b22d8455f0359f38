"""What comes with a form: fields by name, read whole before a connection is taken; what is no form has none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import Request

from api.console.parts import parts_of

__all__ = ["NOT_UNDERSTOOD", "File", "Form", "read_form", "read_form_with_file"]

_MOST_FIELDS: Final = 400
_LONGEST: Final = 100
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CLOCK: Final = re.compile(r"(\d\d:\d\d)(:00)?", re.ASCII)
_MINUTE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
NOT_UNDERSTOOD: Final = "?"
"""Stands for what was filled in and cannot be meant: it is refused where it is needed, and never shown again."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was chosen in a form."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Form:
    """The fields of a form by name, in the order sent."""

    fields: Mapping[str, list[str]]
    files: Mapping[str, File] = field(default_factory=dict)
    """By field; none is ever written to a disk."""

    @property
    def seeks(self) -> bool:
        """Whether something is looked for by its name: by the button for it, or by Enter in the field beside it."""
        return bool(self.first("find") or (self.first("entered") and self.first("q")))

    def first(self, name: str) -> str:
        """The first value of a field; nothing where it was not sent, or is longer than any that is meant."""
        value = self.fields.get(name, [""])[0].strip()
        return value if len(value) <= _LONGEST else ""

    def every(self, name: str) -> list[str]:
        """All values of a field."""
        return self.fields.get(name, [])

    def number(self, name: str, otherwise: int = 0) -> int:
        """A whole number, 0 to 9999; -1 for what is none."""
        return _number(self.first(name), otherwise)

    def numbers(self, name: str) -> list[int]:
        """The same of each value of a field; what was left empty is 0."""
        return [_number(value.strip(), 0) for value in self.every(name)]

    def whole(self, name: str) -> int | None:
        """A whole number of at most nine digits; nothing where none was filled in, -1 for what is none."""
        written = self.first(name)
        if not written and not any(self.every(name)):
            return None
        return int(written) if written.isdecimal() and written.isascii() and len(written) <= 9 else -1

    def words(self, name: str) -> str:
        """What was written, however long: whoever takes it looks at its length. Lines end as ours do."""
        return self.fields.get(name, [""])[0].replace("\r\n", "\n").strip()

    def day(self, name: str) -> str:
        """A day as a calendar field sends it: `2026-12-01`."""
        return self._shaped(name, _DAY)

    def clock(self, name: str) -> str:
        """A time on the wall as a clock field sends it: `19:00`."""
        return self._shaped(name, _CLOCK)[:5]

    def minute(self, name: str) -> str:
        """A day and a time as a field for both sends it: `2026-12-01T19:00`."""
        return self._shaped(name, _MINUTE)

    def uuids(self, name: str) -> list[UUID]:
        """Those values of a field that are ids."""
        return [found for found in map(_uuid, self.every(name)) if found is not None]

    def uuid(self, name: str) -> UUID | None:
        """An id as somebody wrote it; nothing for what is none."""
        return _uuid(self.first(name))

    def _shaped(self, name: str, form: re.Pattern[str]) -> str:
        written = self.words(name)
        return written if not written or form.fullmatch(written) else NOT_UNDERSTOOD


async def read_form(request: Request) -> Form:
    """The fields of a request's body; none of one with files, which is read once it is known whose it is."""
    if _has_files(request):
        return Form({})
    try:
        return Form(parse_qs((await request.body()).decode(), max_num_fields=_MOST_FIELDS, keep_blank_values=True))
    except ValueError:
        return Form({})


async def read_form_with_file(request: Request) -> Form:
    """The same of a body that may have files: for those alone who have a session."""
    if not _has_files(request):
        return await read_form(request)
    parts = parts_of(request.headers["content-type"], await request.body())
    return Form(
        {part.name: [part.content.decode(errors="replace")] for part in parts if not part.filename},
        {part.name: File(part.filename, part.content) for part in parts if part.filename},
    )


def _has_files(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


def _number(written: str, otherwise: int) -> int:
    if not written:
        return otherwise
    return int(written) if written.isdecimal() and len(written) <= 4 else -1


def _uuid(written: str) -> UUID | None:
    try:
        return UUID(written)
    except ValueError:
        return None
