"""The parts of a form that carries a file (RFC 7578), read in memory by the standard library's reader of messages."""

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final

__all__ = ["Part", "parts_of"]

_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Part:
    """A field, or a file where it has the name of one."""

    name: str
    filename: str
    content: bytes


def parts_of(content_type: str, body: bytes) -> list[Part]:
    """The parts of a body; none of what is not written as it should be."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode(errors="replace")
    try:
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        if not message.is_multipart():
            return []
        found = []
        for each in list(message.iter_parts())[:_MOST]:
            name = each.get_param("name", header="content-disposition")
            content = each.get_payload(decode=True)
            if isinstance(name, str) and isinstance(content, bytes):
                found.append(Part(name, each.get_filename("") or "", content))
    except (ValueError, LookupError, AttributeError, TypeError, IndexError):
        # What its headers say may be anything.
        return []
    return found
