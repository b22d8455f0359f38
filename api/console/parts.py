"""The parts of a form that carries a file (RFC 7578), cut out of a body that was read whole; in memory alone."""

from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Final

__all__ = ["Part", "parts_of"]

_MOST: Final = 20
_LONGEST_HEAD: Final = 500
"""Bytes; reading one takes longer than its length."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field, or a file where it has the name of one."""

    name: str
    filename: str
    content: bytes


def parts_of(content_type: str, body: bytes) -> list[Part]:
    """The parts of a body; none of what is not written as it should be.

    A reader of messages would look at each line of a file: it is asked for the heads of the parts alone.
    """
    head = b"Content-Type: " + content_type.encode("latin-1", "replace")
    boundary = _head(head).get_boundary("") if len(head) <= _LONGEST_HEAD else ""
    if not boundary:
        return []
    found = []
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), _MOST + 1)[1 : _MOST + 1]:
        head, gap, content = piece.partition(b"\r\n\r\n")
        if head.startswith(b"--"):
            break
        part = _part(head.strip(), content) if gap and len(head) <= _LONGEST_HEAD else None
        if part is not None:
            found.append(part)
    return found


def _part(head: bytes, content: bytes) -> Part | None:
    try:
        said = _head(head)
        name = said.get_param("name", header="content-disposition")
        filename = said.get_filename("")
    except (ValueError, LookupError, AttributeError, TypeError):
        # What stands in a head may be anything.
        return None
    return Part(name, filename, content) if isinstance(name, str) else None


def _head(written: bytes) -> Message:
    return BytesHeaderParser().parsebytes(written + b"\r\n\r\n")
