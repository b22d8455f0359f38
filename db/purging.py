"""Retention: what is over is deleted after its term, some at a time, each batch in a transaction of its own.

The database's clock decides. Rows that somebody holds are left to the next look. Nothing here commits; which table has
which term, and how it is counted, stands in `db.tables.protection`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import figures, tombstones
from db.terms import Terms

__all__ = ["PURGES", "Purge"]


@dataclass(frozen=True, slots=True)
class Purge:
    """One kind of purge: deletes at most `limit` things past their term and says how many."""

    name: str
    act: Callable[[AsyncConnection, Terms, bytes, int], Awaitable[int]]


_NEEDS = text("""
    select id from need where ended_at < now() - make_interval(hours => :term)
     order by ended_at limit :limit for update skip locked
""")
_PLACES = text("""
    delete from site_location
     where site_id in (
         select l.site_id from site_location l join site h on h.id = l.site_id
          where h.created_at < now() - make_interval(days => :term)
            and not exists (
                select from offer o
                 where o.site_id = h.id
                   and (least(o.closed_at, cast(o.last_day + 1 as timestamptz)) >= now() - make_interval(days => :term)
                        or exists (select from allocation a where a.offer_id = o.id
                                      and a.state in ('held', 'confirmed', 'arrived'))))
          limit :limit for update of l skip locked)
    returning site_id
""")


_EVENTS = text("""
    with gone as (
        delete from event where id in (
            select id from event
             where id in (select id from event order by id limit :limit)
               and at < now() - make_interval(days => :term)
             order by id for update skip locked)
        returning id, transaction
    ), newest as (
        select id, transaction from gone order by transaction desc, id desc limit 1
    ), marked as (
        update feed_mark m set transaction = n.transaction, event_id = n.id
          from newest n
         where m.name = 'purged' and (m.transaction, m.event_id) < (n.transaction, n.id)
    )
    select count(*) from gone
""")


_HAD_NEEDS = tuple(
    text(f"""
        delete from {table} where id in (
            select id from {table} p where not exists (select from need n where n.{table}_id = p.id)
             order by id limit :limit for update skip locked)
    """)
    for table in ("pathway", "project")
)
_SESSIONS = text("""
    delete from session where id in (
        select id from session where ends_at < now() order by ends_at limit :limit for update skip locked)
""")


def _plain(name: str, term: str, statement: str) -> Purge:
    """A purge that is one statement with the term (as the setting has it) and the limit."""
    delete = text(statement)

    async def act(tx: AsyncConnection, terms: Terms, _key: bytes, limit: int) -> int:
        return (await tx.execute(delete, {"term": getattr(terms, term), "limit": limit})).rowcount

    return Purge(name, act)


def _oldest(table: str, at: str, term: str) -> Purge:
    """A purge of a table that only grows: its oldest rows, found without an index of times."""
    return _plain(
        table,
        term,
        f"""
        delete from {table} where id in (
            select id from {table}
             where id in (select id from {table} order by id limit :limit)
               and {at} < now() - make_interval(days => :term)
             order by id for update skip locked)
        """,
    )


async def _purge_needs(tx: AsyncConnection, terms: Terms, key: bytes, limit: int) -> int:
    ids = (await tx.execute(_NEEDS, {"term": terms.keep_needs_hours, "limit": limit})).scalars().all()
    if ids:
        await figures.count_needs(tx, ids)
        await tombstones.raise_up(tx, (tombstones.name_of("need", each, key) for each in ids))
        await tombstones.drop_needs(tx, ids)
    return len(ids)


async def _purge_places(tx: AsyncConnection, terms: Terms, key: bytes, limit: int) -> int:
    ids = (await tx.execute(_PLACES, {"term": terms.keep_addresses_days, "limit": limit})).scalars().all()
    await tombstones.raise_up(tx, (tombstones.name_of("place", each, key) for each in ids))
    return len(ids)


async def _purge_sessions(tx: AsyncConnection, _terms: Terms, _key: bytes, limit: int) -> int:
    return (await tx.execute(_SESSIONS, {"limit": limit})).rowcount


async def _purge_events(tx: AsyncConnection, terms: Terms, _key: bytes, limit: int) -> int:
    return int((await tx.execute(_EVENTS, {"term": terms.keep_events_days, "limit": limit})).scalar_one())


async def _purge_what_had_needs(tx: AsyncConnection, _terms: Terms, _key: bytes, limit: int) -> int:
    return sum([(await tx.execute(statement, {"limit": limit})).rowcount for statement in _HAD_NEEDS])


PURGES: Final = (
    Purge("needs", _purge_needs),
    Purge("pathways and projects", _purge_what_had_needs),
    Purge("exact places", _purge_places),
    _plain(
        "slots",
        "keep_slots_days",
        """
        delete from slot where id in (
            select id from slot s
             where ends < now() - make_interval(days => :term)
               and not exists (select from allocation_slot k where k.slot_id = s.id)
             order by id limit :limit for update skip locked)
        """,
    ),
    _plain(
        "shifts",
        "keep_shifts_days",
        """
        delete from shift where id in (
            select id from shift where ends < now() - make_interval(days => :term)
               and state not in ('planned', 'confirmed')
             limit :limit for update skip locked)
        """,
    ),
    _plain(
        "pledges",
        "keep_shifts_days",
        """
        delete from pledge where id in (
            select id from pledge p
             where last_day + 2 < now() - make_interval(days => :term)
               and not exists (select from shift x where x.pledge_id = p.id)
             limit :limit for update skip locked)
        """,
    ),
    _plain(
        "answers",
        "keep_answers_hours",
        """
        delete from idempotency where (organization_id, key) in (
            select organization_id, key from idempotency where answered_at < now() - make_interval(hours => :term)
             order by answered_at limit :limit for update skip locked)
        """,
    ),
    _plain(
        "keys",
        "keep_keys_days",
        """
        delete from api_key where id in (
            select id from api_key
             where least(revoked_at, expires_at) < now() - make_interval(days => :term)
             limit :limit for update skip locked)
        """,
    ),
    Purge("sessions", _purge_sessions),
    Purge("event", _purge_events),
    _plain(
        "deliveries",
        "keep_deliveries_days",
        """
        delete from webhook_delivery where id in (
            select id from webhook_delivery where since < now() - make_interval(days => :term)
             order by since limit :limit for update skip locked)
        """,
    ),
    _plain(
        "tests of channels",
        "keep_deliveries_days",
        """
        delete from notice where id in (
            select id from notice
             where allocation_id is null and happening = 'test'
               and created_at < now() - make_interval(days => :term)
             order by created_at limit :limit for update skip locked)
        """,
    ),
    _oldest("round", "decided_at", "keep_rounds_days"),
    _plain(
        "ways",
        "keep_travel_days",
        """
        delete from travel_time where (from_cell, to_cell) in (
            select from_cell, to_cell from travel_time where asked_at < now() - make_interval(days => :term)
             limit :limit for update skip locked)
        """,
    ),
    _plain(
        "tombstones",
        "keep_tombstones_days",
        """
        delete from tombstone where name in (
            select name from tombstone where purged_at < now() - make_interval(days => :term)
             order by purged_at limit :limit for update skip locked)
        """,
    ),
)
"""In this order: what hangs on another goes first."""
