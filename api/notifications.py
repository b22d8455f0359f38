"""Notifications: by which channels an organization's people are told that something waits, and when they are not."""

from collections.abc import Iterable
from datetime import time
from typing import Annotated, Final
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.authorization import WritesNotifications
from api.house import House, TheHouse
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import Instant, LocalTime, TimezoneName, Wire
from db import channels
from db.channels import ChannelFacts, Choice
from matching.notifying import (
    CHOSEN,
    LONGEST_ADDRESS,
    SERVICES,
    TELLS_IN,
    ChannelState,
    Fault,
    Happening,
    PausedFor,
    kind_of_address,
    same_place,
    shown_of,
)
from matching.refusals import Conflict, Flaw, Invalid

__all__ = ["add_channel", "router", "shown", "sorted_out"]

router = APIRouter(prefix="/v1/notifications", tags=["notifications"], route_class=TransactionalRoute)
_WORDS: Final = [each.value for each in CHOSEN]


def _address(written: str) -> str:
    if kind_of_address(written) is None:
        raise PydanticCustomError("not_a_channel_address", "not an address that people may be told by")
    return written


def _chosen(word: Happening) -> Happening:
    if word not in CHOSEN:
        raise PydanticCustomError("enum", "not a happening")
    return word


def _spoken(language: str) -> str:
    if language not in TELLS_IN:
        raise PydanticCustomError("enum", "not a language of notifications")
    return language


Address = Annotated[
    str,
    Field(
        max_length=LONGEST_ADDRESS,
        json_schema_extra={"pattern": r"^[^@\s]+@[a-z0-9.-]+$|^[a-z0-9]+://[^?\s]+$"},
        examples=["night@town-hall.example.org"],
        description="An e-mail address, or an address as Apprise writes it, of a service that is allowed, without "
        f"anything after a question mark. Allowed are {', '.join(sorted(SERVICES))}, and by HTTPS at a public name "
        "gotifys, matrixs, mmosts, nctalks, ntfys, rockets, signals.",
    ),
    AfterValidator(_address),
]
Happenings = Annotated[
    list[Annotated[Happening, Field(json_schema_extra={"enum": _WORDS}, examples=["awaits"]), AfterValidator(_chosen)]],
    Field(min_length=1, max_length=len(_WORDS), description="What the channel is told of."),
]
Language = Annotated[
    str,
    Field(max_length=2, json_schema_extra={"enum": list(TELLS_IN)}, description="In which people are told."),
    AfterValidator(_spoken),
]


class NotificationsIn(Wire):
    """How people are told: quiet hours go from one local time to another, over midnight too; both or neither."""

    language: Language
    timezone: TimezoneName
    quiet_from: LocalTime | None
    quiet_until: LocalTime | None


class NotificationsOut(NotificationsIn):
    """The same as it stands."""

    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, chosen: Choice) -> "NotificationsOut":
        """Render a choice."""
        return cls(
            language=chosen.language,
            timezone=chosen.timezone,
            quiet_from=chosen.quiet_from,
            quiet_until=chosen.quiet_until,
            version=chosen.version,
        )


class ChannelIn(Wire):
    """An address by which people are told, and of what."""

    address: Address
    happenings: Happenings = Field(default_factory=lambda: list(CHOSEN))


class ChannelOut(Wire):
    """A channel as its organization sees it. Its address is never shown again."""

    id: UUID
    kind: Annotated[str, Field(max_length=20, description="`mail`, or the service.", examples=["mail"])]
    ends_with: Annotated[str, Field(max_length=12, description="The last characters of its address.")]
    happenings: Happenings
    state: ChannelState
    reason: Annotated[PausedFor | None, Field(description="Why it is paused.")]
    failing_since: Instant | None
    fault: Annotated[Fault | None, Field(description="Why what was tried last did not arrive.")]
    told_at: Annotated[Instant | None, Field(description="When it took something last.")]
    testing: Annotated[bool, Field(description="Whether a test is on its way.")]
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: ChannelFacts, house: House) -> "ChannelOut":
        """Render one channel."""
        return cls(
            id=facts.id,
            kind=facts.kind,
            ends_with=shown(facts, house),
            happenings=list(facts.happenings),
            state=facts.state,
            reason=facts.reason,
            failing_since=facts.failing_since,
            fault=facts.fault,
            told_at=facts.told_at,
            testing=facts.testing,
            created_at=facts.created_at,
            version=facts.version,
        )


async def add_channel(
    tx: AsyncConnection, organization_id: UUID, address: str, happenings: Iterable[Happening], house: House
) -> UUID:
    """Add a channel for an address of a kind that is allowed: its id.

    Raises `Conflict` where the organization has it already, or as many as it may: nobody is told twice by one address.
    """
    channel_id, kind = uuid4(), kind_of_address(address)
    assert kind is not None  # noqa: S101 - looked at where it came in
    sealed = house.channels.seal(channel_id, address)
    await channels.add(tx, organization_id, channel_id, kind, sealed, frozenset(happenings))
    # Who adds holds the organization's lock: nobody adds the same beside us.
    for other in (await channels.page(tx, organization_id)).items:
        if other.id != channel_id and same_place(_opened(other, house)) == same_place(address):
            raise Conflict("channel_known", "known")
    return channel_id


def shown(facts: ChannelFacts, house: House) -> str:
    """The last characters of a channel's address; nothing where it was sealed under another secret file."""
    return shown_of(_opened(facts, house))


def sorted_out(quiet_from: time | None, quiet_until: time | None) -> tuple[time, time] | None:
    """Quiet hours that were written. Raises `Invalid` where one end is missing, or both are the same."""
    if quiet_from is None and quiet_until is None:
        return None
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        raise Invalid((Flaw("/quiet_until", "not_quiet_hours"),))
    return quiet_from, quiet_until


@router.get("", responses=problems(401, 403, 422))
async def read_notifications(who: WritesNotifications, tx: Tx, reply: Reply) -> NotificationsOut:
    """How the caller's people are told; before anything was chosen, in English and at any hour."""
    return await _choice(tx, who.organization_id, reply)


@router.put("", responses=problems(401, 403, 412, 422, 428))
async def choose_notifications(
    body: NotificationsIn, who: WritesNotifications, tx: Tx, reply: Reply, version: IfMatch
) -> NotificationsOut:
    """Be told in this language, and not at these hours: what happens then is told when they end, if it is still so."""
    quiet = sorted_out(body.quiet_from, body.quiet_until)
    await channels.choose(tx, who.organization_id, version, body.language, body.timezone, quiet)
    return await _choice(tx, who.organization_id, reply)


@router.post("/channels", status_code=201, responses=problems(401, 403, 409, 422))
async def post_channel(body: ChannelIn, who: WritesNotifications, tx: Tx, reply: Reply, house: TheHouse) -> ChannelOut:
    """Tell people by this address from now on. The text says that something waits, and nothing else."""
    channel_id = await add_channel(tx, who.organization_id, body.address, body.happenings, house)
    reply.created(f"/v1/notifications/channels/{channel_id}")
    return await _channel(tx, who.organization_id, channel_id, reply, house)


@router.get("/channels", responses=problems(401, 403, 422))
async def list_channels(
    who: WritesNotifications, tx: Tx, house: TheHouse, after: After, limit: Limit = 50
) -> Listed[ChannelOut]:
    """The caller's own channels, oldest first."""
    found = await channels.page(tx, who.organization_id, after, limit)
    return listed(found, lambda facts: ChannelOut.of(facts, house))


@router.get("/channels/{channel_id}", responses=problems(401, 403, 404, 422))
async def read_channel(channel_id: UUID, who: WritesNotifications, tx: Tx, reply: Reply, house: TheHouse) -> ChannelOut:
    """One of the caller's own channels."""
    return await _channel(tx, who.organization_id, channel_id, reply, house)


@router.delete("/channels/{channel_id}", status_code=204, responses=problems(401, 403, 404, 422))
async def remove_channel(channel_id: UUID, who: WritesNotifications, tx: Tx) -> None:
    """Tell nobody by this address any more; what waits for it is deleted."""
    await channels.remove(tx, channel_id, who.organization_id)


@router.post("/channels/{channel_id}/pause", responses=problems(401, 403, 404, 409, 422))
async def pause_channel(
    channel_id: UUID, who: WritesNotifications, tx: Tx, reply: Reply, house: TheHouse
) -> ChannelOut:
    """Tell nobody by it until it is resumed."""
    await channels.pause(tx, channel_id, who.organization_id)
    return await _channel(tx, who.organization_id, channel_id, reply, house)


@router.post("/channels/{channel_id}/resume", responses=problems(401, 403, 404, 409, 422))
async def resume_channel(
    channel_id: UUID, who: WritesNotifications, tx: Tx, reply: Reply, house: TheHouse
) -> ChannelOut:
    """Tell people by it again, of what is still so."""
    await channels.resume(tx, channel_id, who.organization_id)
    return await _channel(tx, who.organization_id, channel_id, reply, house)


@router.post("/channels/{channel_id}/test", status_code=202, responses=problems(401, 403, 404, 409, 422))
async def test_channel(channel_id: UUID, who: WritesNotifications, tx: Tx, reply: Reply, house: TheHouse) -> ChannelOut:
    """Send a text that says it is a test, at any hour; one in two minutes."""
    await channels.test(tx, channel_id, who.organization_id)
    return await _channel(tx, who.organization_id, channel_id, reply, house)


def _opened(facts: ChannelFacts, house: House) -> str:
    try:
        return house.channels.open(facts.id, facts.sealed)
    except ValueError:
        return ""


async def _choice(tx: Tx, organization_id: UUID, reply: Reply) -> NotificationsOut:
    chosen = await channels.choice(tx, organization_id)
    reply.version(chosen.version)
    return NotificationsOut.of(chosen)


async def _channel(tx: Tx, organization_id: UUID, channel_id: UUID, reply: Reply, house: House) -> ChannelOut:
    facts = await channels.read(tx, channel_id, organization_id)
    reply.version(facts.version)
    return ChannelOut.of(facts, house)
