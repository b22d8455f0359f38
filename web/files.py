"""The files that pages of the console fetch from us: a style, scripts, a picture, each named after its content.

A name is never used for other content: what a browser has under it, it may keep.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["OF_THE_MAP", "OF_THE_SCAN", "POLICY", "File", "content_of", "file_of", "is_installed", "path_of", "paths"]

_HERE: Final = Path(__file__).parent
_FOLDER: Final = "/console/files/"
_NODE: Final = _HERE / "node" / "node_modules"
OF_THE_MAP: Final[dict[str, tuple[Path, str]]] = {
    "maplibre-gl.mjs": (_NODE / "maplibre-gl" / "dist", "text/javascript"),
    "maplibre-gl-worker.mjs": (_NODE / "maplibre-gl" / "dist", "text/javascript"),
    "topojson-client.min.js": (_NODE / "topojson-client" / "dist", "text/javascript"),
    "pmtiles.js": (_NODE / "pmtiles" / "dist", "text/javascript"),
    "countries-50m.json": (_NODE / "world-atlas", "application/json"),
}
"""What npm brings (`web/node`), where it could; nothing but the map needs it."""
OF_THE_SCAN: Final[dict[str, tuple[Path, str]]] = {
    "decode.js": (_NODE / "qr", "text/javascript"),
    "index.js": (_NODE / "qr", "text/javascript"),
}
"""Likewise, for browsers that read no code themselves."""
_FROM_NPM: Final = {**OF_THE_MAP, **OF_THE_SCAN}
_IMPORTED: Final = {"decode.js": "index.js"}
"""A module that fetches another by its plain name is told the one that we send it by."""
_KINDS: Final = {
    "console.css": (_HERE / "styles", "text/css"),
    "console.js": (_HERE / "scripts", "text/javascript"),
    "kept.js": (_HERE / "scripts", "text/javascript"),
    "map.js": (_HERE / "scripts", "text/javascript"),
    "scan.js": (_HERE / "scripts", "text/javascript"),
    "offline.js": (_HERE / "scripts", "text/javascript"),
    "console.svg": (_HERE / "pictures", "image/svg+xml"),
    **_FROM_NPM,
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
    zipped: bytes
    """The content by gzip (RFC 1952). Pages are not sent so: what somebody writes stands there beside a secret."""


def is_installed(files: Mapping[str, tuple[Path, str]]) -> bool:
    """Whether all of these are here."""
    return all((folder / name).is_file() for name, (folder, _) in files.items())


@cache
def path_of(name: str) -> str:
    """Where a file is found."""
    stem, _, kind = name.rpartition(".")
    digest = hashlib.sha256(_content(name)).hexdigest()[:16]
    return f"{_FOLDER}{stem}.{digest}.{kind}"


def paths() -> list[str]:
    """Where all files of this version are found; those that npm did not bring are not among them."""
    return [path_of(name) for name in _here()]


def file_of(written: str) -> File | None:
    """The file of a name with its digest; none for any other."""
    return next((_file(name) for name in _here() if path_of(name) == f"{_FOLDER}{written}"), None)


def content_of(name: str) -> bytes:
    """A file by its own name, for what a browser asks for by one name for good."""
    return _content(name)


def _here() -> Iterator[str]:
    return (name for name, (folder, _) in _KINDS.items() if name not in _FROM_NPM or (folder / name).is_file())


@cache
def _file(name: str) -> File:
    content = _content(name)
    return File(content, _KINDS[name][1], gzip.compress(content, mtime=0))


@cache
def _content(name: str) -> bytes:
    folder, _ = _KINDS[name]
    content = (folder / name).read_bytes()
    if name in _IMPORTED:
        imported = _IMPORTED[name]
        content = content.replace(f"'./{imported}'".encode(), f"'{path_of(imported)}'".encode())
    return content
