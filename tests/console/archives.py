"""A small PMTiles file (version 3), such as an operator has a large one of: a single tile, of the whole world."""

import gzip
import json
import struct
from typing import Final

__all__ = ["archive_of"]

_GZIP, _MVT = 2, 1
_HEADER: Final = "<7sB 11Q 6B 4i B 2i"


def archive_of(tile: bytes, layers: list[str], thanks: str) -> bytes:
    """The file with this vector tile at zoom 0, which has these layers."""
    content = gzip.compress(tile)
    # One entry: tile 0, as many in a row, so long, at offset 0 (written as one more).
    directory = gzip.compress(_varints(1, 0, 1, len(content), 1))
    about = {"vector_layers": [{"id": each, "fields": {}} for each in layers], "attribution": thanks}
    metadata = gzip.compress(json.dumps(about).encode())
    at_metadata = struct.calcsize(_HEADER) + len(directory)
    at_content = at_metadata + len(metadata)
    places = (
        struct.calcsize(_HEADER),
        len(directory),
        at_metadata,
        len(metadata),
        at_content,
        0,
        at_content,
        len(content),
    )
    world = (-1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000)
    kinds = (1, _GZIP, _GZIP, _MVT, 0, 0)
    header = struct.pack(_HEADER, b"PMTiles", 3, *places, 1, 1, 1, *kinds, *world, 0, 0, 0)
    return header + directory + metadata + content


def _varints(*numbers: int) -> bytes:
    written = bytearray()
    for number in numbers:
        left = number
        while left > 0x7F:
            written.append(left & 0x7F | 0x80)
            left >>= 7
        written.append(left)
    return bytes(written)
