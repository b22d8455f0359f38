"""The language of notifications as organizations speak it: add, list, pause, try and remove channels, choose hours.

What is told through channels by itself is in `db.notices`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.pages import Page, Place, reading
from db.tables import Channel as ChannelRow
from db.tables.metadata import columns
from matching.notifying import APART, ChannelState, Fault, Happening, PausedFor
from matching.refusals import Conflict, Flaw, Invalid, NotFound, StaleVersion

__all__ = [
    "MOST_EACH",
    "ChannelFacts",
    "Choice",
    "add",
    "choice",
    "choose",
    "page",
    "pause",
    "read",
    "remove",
    "resume",
    "speak",
    "test",
]

MOST_EACH: Final = 20
"""Channels of one organization."""


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """A channel as its organization sees it; `sealed` opens with the house's key."""

    id: UUID
    kind: str
    sealed: bytes
    happenings: tuple[Happening, ...]
    state: ChannelState
    reason: PausedFor | None
    failing_since: datetime | None
    fault: Fault | None
    """Why what was told last, or tried, did not arrive; nothing where it did."""
    told_at: datetime | None
    testing: bool
    """Whether a test is on its way."""
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Choice:
    """How an organization is told: in which language, and from when until when, by its own clock, it is not."""

    language: str
    timezone: str
    quiet_from: time | None
    quiet_until: time | None
    version: int


_LOCK_ORGANIZATION = text("select pg_advisory_xact_lock(hashtext('channels'), hashtext(cast(:organization as text)))")
_COUNT = text("select count(*) from channel where organization_id = :organization")
_ADD = text("""
    insert into channel (id, organization_id, kind, address, happenings)
    values (:id, :organization, :kind, :address, cast(:happenings as text[]))
""")
_SELECT = f"""
    select {columns(ChannelRow, "c")},
           exists (select from notice n where n.channel_id = c.id and n.happening = 'test'
                      and n.state in ('waiting', 'sending')) as testing
      from channel c where c.organization_id = :organization
"""
_READ = text(_SELECT + " and c.id = :id")
_PAGE = text(
    _SELECT
    + """
       and (cast(:after_at as timestamptz) is null or (c.created_at, c.id) > (:after_at, cast(:after_id as uuid)))
     order by c.created_at, c.id limit :limit
"""
)
_OWN = "where id = :id and organization_id = :organization"
_LOCK = text(f"select state from channel {_OWN} for no key update")
_REMOVE = text(f"delete from channel {_OWN} returning id")
_PAUSE = text(f"""
    update channel set state = 'paused', reason = 'asked',
                       version = version + case when state = 'paused' then 0 else 1 end
    {_OWN} returning id
""")
_RESUME = text(f"""
    update channel set state = 'active', reason = null, failures = 0, failing_since = null, try_at = now(),
                       version = version + case when state = 'active' then 0 else 1 end
    {_OWN} returning id
""")
_LAST_TEST = text("""
    select state in ('waiting', 'sending') as on_its_way, settled_at > now() - cast(:apart as interval) as lately
      from notice where channel_id = :id and happening = 'test' order by id desc limit 1
""")
_TEST = text("insert into notice (channel_id, happening) values (:id, 'test')")
_AT_ONCE = text("update channel set try_at = now() where id = :id")
_CHOICE = text("""
    select language, timezone, quiet_from, quiet_until, version from notification_choice
     where organization_id = :organization
""")
_NEAREST_CLOCK = text("""
    select timezone from town where id in (
        select min(town_id) from organization_town where organization_id = :organization)
""")
_KNOWN_ZONE = text("select exists (select from pg_timezone_names where name = :timezone)")
_CHOOSE_FIRST = text("""
    insert into notification_choice (organization_id, language, timezone, version)
    values (:organization, :language, :timezone, 2)
    on conflict (organization_id) do nothing
""")
_CHOOSE = text("""
    insert into notification_choice (organization_id, language, timezone, quiet_from, quiet_until, version)
    values (:organization, :language, :timezone, :quiet_from, :quiet_until, 2)
    on conflict (organization_id) do update
       set language = excluded.language, timezone = excluded.timezone, quiet_from = excluded.quiet_from,
           quiet_until = excluded.quiet_until, version = notification_choice.version + 1
""")


async def add(
    tx: AsyncConnection,
    organization_id: UUID,
    channel_id: UUID,
    kind: str,
    sealed: bytes,
    happenings: Collection[Happening],
) -> None:
    """A new channel for these happenings, from now on. Raises `Conflict` where there are as many as may be."""
    await tx.execute(_LOCK_ORGANIZATION, {"organization": str(organization_id)})
    if (await tx.execute(_COUNT, {"organization": organization_id})).scalar_one() >= MOST_EACH:
        raise Conflict("too_many_channels", "full")
    values = {"kind": kind, "address": sealed, "happenings": sorted(each.value for each in happenings)}
    await tx.execute(_ADD, _named(channel_id, organization_id) | values)


async def read(tx: AsyncConnection, channel_id: UUID, organization_id: UUID) -> ChannelFacts:
    """One channel of this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, _named(channel_id, organization_id))).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def page(
    tx: AsyncConnection, organization_id: UUID, after: Place | None = None, limit: int = MOST_EACH
) -> Page[ChannelFacts]:
    """The channels of this organization, oldest first."""
    rows = await tx.execute(_PAGE, {"organization": organization_id, **reading(after, limit)})
    return Page.of([_facts(row) for row in rows], limit, lambda each: Place(each.created_at, each.id))


async def remove(tx: AsyncConnection, channel_id: UUID, organization_id: UUID) -> None:
    """End a channel, with all that waits for it. Raises `NotFound`."""
    await _found(tx, _REMOVE, channel_id, organization_id)


async def pause(tx: AsyncConnection, channel_id: UUID, organization_id: UUID) -> None:
    """Tell a channel nothing until it is resumed. Raises `NotFound`."""
    await _found(tx, _PAUSE, channel_id, organization_id)


async def resume(tx: AsyncConnection, channel_id: UUID, organization_id: UUID) -> None:
    """Tell a channel again, of what is still true. Raises `NotFound`."""
    await _found(tx, _RESUME, channel_id, organization_id)


async def test(tx: AsyncConnection, channel_id: UUID, organization_id: UUID) -> None:
    """Send it a text that says that it is a test, at any hour, unless one is on its way.

    An address may be anybody's: two minutes after a test there is another at the soonest. Raises `NotFound`, `Conflict`
    where that is too soon, or the channel paused.
    """
    state = (await tx.execute(_LOCK, _named(channel_id, organization_id))).scalar_one_or_none()
    if state is None:
        raise NotFound
    if state == ChannelState.PAUSED:
        raise Conflict("channel_paused", state)
    last = (await tx.execute(_LAST_TEST, {"id": channel_id, "apart": APART})).one_or_none()
    if last is not None and not last.on_its_way and last.lately:
        raise Conflict("channel_tested", "tested")
    if last is None or not last.on_its_way:
        await tx.execute(_TEST, {"id": channel_id})
    await tx.execute(_AT_ONCE, {"id": channel_id})


async def choice(tx: AsyncConnection, organization_id: UUID) -> Choice:
    """What this organization chose; before it did, English, the clock of its first town, and no quiet hours."""
    row = (await tx.execute(_CHOICE, {"organization": organization_id})).one_or_none()
    if row is not None:
        return Choice(row.language, row.timezone, row.quiet_from, row.quiet_until, row.version)
    clock = (await tx.execute(_NEAREST_CLOCK, {"organization": organization_id})).scalar_one_or_none()
    return Choice("en", clock or "UTC", None, None, 1)


async def choose(
    tx: AsyncConnection,
    organization_id: UUID,
    version: int | None,
    language: str,
    timezone: str,
    quiet: tuple[time, time] | None,
) -> None:
    """Be told like this from now on; what was never chosen has version 1.

    Raises `StaleVersion` where it changed since `version`, and `Invalid` for a time zone that the database does not
    know.
    """
    await tx.execute(_LOCK_ORGANIZATION, {"organization": str(organization_id)})
    before = await choice(tx, organization_id)
    if version not in (None, before.version):
        raise StaleVersion(before.version)
    if not (await tx.execute(_KNOWN_ZONE, {"timezone": timezone})).scalar_one():
        raise Invalid((Flaw("/timezone", "unknown_timezone"),))
    quiet_from, quiet_until = quiet or (None, None)
    values = {"language": language, "timezone": timezone, "quiet_from": quiet_from, "quiet_until": quiet_until}
    await tx.execute(_CHOOSE, values | {"organization": organization_id})


async def speak(tx: AsyncConnection, organization_id: UUID, language: str) -> None:
    """Be told in this language where nothing was chosen yet."""
    before = await choice(tx, organization_id)
    values = {"organization": organization_id, "language": language, "timezone": before.timezone}
    await tx.execute(_CHOOSE_FIRST, values)


async def _found(tx: AsyncConnection, act: TextClause, channel_id: UUID, organization_id: UUID) -> None:
    if (await tx.execute(act, _named(channel_id, organization_id))).one_or_none() is None:
        raise NotFound


def _named(channel_id: UUID, organization_id: UUID) -> dict[str, object]:
    return {"id": channel_id, "organization": organization_id}


def _facts(row: Row[tuple[object, ...]]) -> ChannelFacts:
    values = row._mapping
    return ChannelFacts(
        id=values["id"],
        kind=values["kind"],
        sealed=values["address"],
        happenings=tuple(map(Happening, values["happenings"])),
        state=ChannelState(values["state"]),
        reason=PausedFor(values["reason"]) if values["reason"] else None,
        failing_since=values["failing_since"],
        fault=Fault(values["fault"]) if values["fault"] else None,
        told_at=values["told_at"],
        testing=values["testing"],
        created_at=values["created_at"],
        version=values["version"],
    )
