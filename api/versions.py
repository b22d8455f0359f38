"""Versions of objects: what a change must say about what it changes (`If-Match`, RFC 9110 § 13.1.1)."""

import re
from typing import Annotated, Final

from fastapi import Depends, Header, Request

from api.problems import VersionRequired
from api.strict import sole
from matching.refusals import Invalid

__all__ = ["IfMatch", "expected_version"]

_TAG = re.compile(r'(?:W/)?"[!#-~]{0,90}"')
_OURS = re.compile(r'"(?P<version>[0-9]{1,9})"')
_NEVER: Final = -1
"""No object has this version."""


async def expected_version(
    request: Request,
    _if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            max_length=100,
            description='The `ETag` of what is changed, such as `"3"`; `*` for any version.',
        ),
    ] = None,
) -> int | None:
    """The version that the caller read; `None` for any. Raises `VersionRequired`, and `Invalid` for no tag or two."""
    said = (sole(request, "If-Match") or "").strip()
    if not said:
        raise VersionRequired
    if said == "*":
        return None
    if not _TAG.fullmatch(said):
        raise Invalid.one("If-Match", "wrong_form")
    ours = _OURS.fullmatch(said)
    return int(ours["version"]) if ours else _NEVER


IfMatch = Annotated[int | None, Depends(expected_version)]
"""The version that a change expects, `None` for any: hand it to the query, which raises `StaleVersion`."""
