"""The files that pages of the console fetch from us: a style, scripts, a picture, each named after its content.

A name is never used for other content: what a browser has under it, it may keep.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["POLICY", "File", "content_of", "file_of", "path_of"]

_HERE: Final = Path(__file__).parent
_FOLDER: Final = "/console/files/"
_KINDS: Final = {
    "console.css": (_HERE / "styles", "text/css"),
    "console.js": (_HERE / "scripts", "text/javascript"),
    "kept.js": (_HERE / "scripts", "text/javascript"),
    "offline.js": (_HERE / "scripts", "text/javascript"),
    "console.svg": (_HERE / "pictures", "image/svg+xml"),
}
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " manifest-src 'self'; worker-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy of a page that uses them: our own files, forms and streams, and nothing else at all."""


@dataclass(frozen=True, slots=True)
class File:
    """What is sent for a name."""

    content: bytes
    media_type: str


def path_of(name: str) -> str:
    """Where a file is found."""
    stem, _, kind = name.rpartition(".")
    digest = hashlib.sha256(_file(name).content).hexdigest()[:16]
    return f"{_FOLDER}{stem}.{digest}.{kind}"


def file_of(written: str) -> File | None:
    """The file of a name with its digest; none for any other."""
    return next((_file(name) for name in _KINDS if path_of(name) == f"{_FOLDER}{written}"), None)


def content_of(name: str) -> bytes:
    """A file by its own name, for what a browser asks for by one name for good."""
    return _file(name).content


@cache
def _file(name: str) -> File:
    folder, media_type = _KINDS[name]
    return File((folder / name).read_bytes(), media_type)
