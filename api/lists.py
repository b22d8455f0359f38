"""Lists: how many at once, and from where on. A cursor is opaque and says nothing but a place in the list."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field

from api.wire import Wire
from db.pages import Page, Place
from matching.refusals import Invalid

__all__ = ["After", "Limit", "Listed", "cursor_of", "listed"]

Item = TypeVar("Item", bound=Wire)
Facts = TypeVar("Facts")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST = 1 << 57

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]


class Listed(Wire, Generic[Item]):
    """One page; `next` is the cursor of the page after it."""

    items: Annotated[list[Item], Field(max_length=200)]
    next: Annotated[str, Field(max_length=64)] | None


async def _place(
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
) -> Place | None:
    if cursor is None:
        return None
    try:
        packed = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        packed = b""
    microseconds = int.from_bytes(packed[:8])
    if len(packed) != 24 or microseconds >= _LATEST:
        raise Invalid.one("?cursor", "not_a_cursor")
    return Place(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=packed[8:]))


After = Annotated[Place | None, Depends(_place)]
"""Where the page begins, in a route's signature."""


def listed(page: Page[Facts], shown: Callable[[Facts], Item]) -> Listed[Item]:
    """A page as it is answered."""
    return Listed[Item](items=[shown(each) for each in page.items], next=cursor_of(page.next))


def cursor_of(place: Place | None) -> str | None:
    """The cursor of the page that begins after this place, if there is one."""
    if place is None:
        return None
    microseconds = (place.at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(microseconds.to_bytes(8) + place.id.bytes).decode()
