"""Versions of objects: what a change must say about what it changes (`If-Match`, RFC 9110 § 13.1.1)."""

import re
from typing import Annotated, Final

from fastapi import Depends, Header

from api.problems import VersionRequired

__all__ = ["IfMatch", "expected_version"]

_STRONG = re.compile(r'\s*"(?P<version>[0-9]{1,9})"\s*')
_NEVER: Final = -1
"""No object has this version."""


async def expected_version(
    if_match: Annotated[
        str | None,
        Header(max_length=100, description='The `ETag` of what is changed, such as `"3"`; `*` for any version.'),
    ] = None,
) -> int | None:
    """The version that the caller read; `None` for any. Raises `VersionRequired`."""
    if if_match is None:
        raise VersionRequired
    if if_match.strip() == "*":
        return None
    form = _STRONG.fullmatch(if_match)
    return int(form["version"]) if form else _NEVER


IfMatch = Annotated[int | None, Depends(expected_version)]
"""The version that a change expects, `None` for any: hand it to the query, which raises `StaleVersion`."""
