"""Events as they leave the house: pages of what changed since, and a stream that goes on.

Both tell the same facts in the same order: of one object in the order in which they happened, each at least once, with
an id that stays the same. Of what a key may not read it hears nothing.
"""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from api.authorization import AnyKey, Caller
from api.feed_cursors import LENGTH
from api.house import TheHouse
from api.problems import Forbidden, problems
from api.streams import Listener
from api.transactions import TransactionalRoute, Tx
from api.wire import Instant, Wire
from db import feed, keys
from db.feed import FeedEvent, Mark
from db.happenings import readable
from matching.refusals import Invalid

__all__ = ["EventOut", "router"]

router = APIRouter(prefix="/v1", tags=["events"], route_class=TransactionalRoute)
_NO_CURSOR: Final = ("?since", "not_a_cursor")
_NO_EVENT: Final = ("Last-Event-ID", "not_an_event_id")
_CURSOR_FORM: Final = rf"^[A-Za-z0-9_-]{{{LENGTH}}}$"
Fact = Annotated[str, Field(max_length=60)] | int


class EventOut(Wire):
    """A fact: what happened to which object, and when. Ids, states and codes; never a place or people."""

    id: Annotated[UUID, Field(description="The same each time that the event is told.")]
    kind: Annotated[str, Field(max_length=60, pattern=r"^[a-z_]+\.[a-z_]+$", examples=["allocation.confirmed"])]
    object_id: UUID
    at: Instant
    facts: Annotated[dict[str, Fact], Field(max_length=20)]

    @classmethod
    def of(cls, event: FeedEvent, key: bytes) -> "EventOut":
        """Render one event."""
        return cls(id=event.id(key), kind=event.kind, object_id=event.object_id, at=event.at, facts=event.facts)


class ChangesOut(Wire):
    """What changed, in order. `next` is where to go on, also where nothing is `more` yet: keep it."""

    items: Annotated[list[EventOut], Field(max_length=1000)]
    next: Annotated[str, Field(pattern=_CURSOR_FORM, max_length=LENGTH)]
    more: Annotated[bool, Field(description="Whether there is more to be read at once.")]


@router.get("/changes", responses=problems(401, 403, 410, 422))
async def list_changes(
    who: AnyKey,
    tx: Tx,
    house: TheHouse,
    since: Annotated[
        str | None, Query(max_length=64, description="`next` of the page before, or `now` for a cursor of this moment.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 200,
) -> ChangesOut:
    """What the caller's organization may hear of, since a cursor; without one, from the oldest that is kept.

    Who begins takes a cursor of `now` first and reads the lists then: so nothing falls in between.
    """
    if since == "now":
        after: Mark | None = await feed.now(tx)
    else:
        after = None if since is None else _place(since, _NO_CURSOR, who, house)
    page = await feed.read(tx, who.organization_id, after, _readable(who), limit)
    return ChangesOut(
        items=[EventOut.of(event, house.event_key) for event in page.events],
        next=house.cursors.seal(page.next, who.organization_id),
        more=page.more,
    )


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A stream of events that ends when the key does; `Last-Event-ID` goes on where it broke.",
            "content": {"text/event-stream": {"schema": {"type": "string", "maxLength": 1_000_000_000}}},
        },
        **problems(401, 403, 422, 429, 503),
    },
)
async def stream_events(
    who: AnyKey,
    tx: Tx,
    house: TheHouse,
    last_event_id: Annotated[str | None, Header(max_length=64, description="`id` of the last event heard.")] = None,
) -> StreamingResponse:
    """Events as they happen, from now on or from `Last-Event-ID`, as Server-Sent Events.

    `event: feed.broken` says that some are not kept any more: read the lists anew, the stream goes on from now.
    """
    objects = _readable(who)
    begin = _place(last_event_id, _NO_EVENT, who, house) if last_event_id else await feed.now(tx)
    listener = Listener(
        who,
        objects,
        lambda event: EventOut.of(event, house.event_key).model_dump_json(),
        lambda later: keys.lives(later, who),
    )
    told = house.streams.told(listener, begin)
    # A proxy that gathers answers before it sends them on would keep events back.
    return StreamingResponse(told, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _readable(who: Caller) -> frozenset[str]:
    objects = readable(who.scopes)
    if not objects:
        raise Forbidden
    return objects


def _place(written: str, flaw: tuple[str, str], who: Caller, house: TheHouse) -> Mark:
    place = house.cursors.open(written, who.organization_id)
    if place is None:
        raise Invalid.one(*flaw)
    return place
