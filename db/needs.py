"""The language of needs: add, read, list, withdraw, and what is due.

Changing a stay that has a place lives in `stays`; taking places in `holds`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, holds, referrals
from db.pages import Page, Place, reading
from db.policies import policy_of
from db.roles import Role, acting_as
from geo.cells import Cell, centroid
from matching.needs import People, language_of
from matching.policy import Policy
from matching.posting import NeedTerms, deadline_of, flaws_of
from matching.refusals import Conflict, Flaw, Invalid, NotFound
from matching.states import NeedState
from matching.vocabulary import Audience, Coverage, RefuseReason, Stay, Urgency

__all__ = [
    "ADD",
    "COLUMNS",
    "NeedFacts",
    "Posted",
    "add",
    "answered",
    "columns_of",
    "end",
    "facts_of",
    "lock",
    "page",
    "read",
    "settings_of",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class NeedFacts:
    """A need as its organization sees it."""

    id: UUID
    organization_id: UUID
    terms: NeedTerms
    state: NeedState
    posted_at: datetime
    deadline: datetime
    unmet_reasons: dict[str, int] | None
    parked: bool
    searched_town_id: int | None
    """The partner town around which a place is looked for, where it was referred."""
    pathway_id: UUID | None
    """The pathway of which it is a step."""
    project_id: UUID | None
    """The project of which it is a party."""
    version: int


@dataclass(frozen=True, slots=True)
class Posted:
    """A new need, and another live one of the same organization that asks the same, where there is one."""

    need: NeedFacts
    lookalike: UUID | None


@dataclass(frozen=True, slots=True)
class _Setting:
    """What the terms of a need depend on: its category's coverage and its town."""

    coverage: Coverage
    country: str
    zone: ZoneInfo
    cell: Cell


COLUMNS = (
    "id", "organization_id", "category", "town_id", "adults", "minors", "starts", "ends", "urgency", "stay",
    "audience", "requires", "countries", "max_km", "divisible", "teaches", "level", "state", "posted_at",
    "deadline", "unmet_reasons", "parked_at", "searched_town_id", "pathway_id", "project_id", "version"
)  # fmt: skip
"""What `facts_of` asks of a row."""
_SELECT = f"select {', '.join(f'n.{name}' for name in COLUMNS)} from need n "
_READ = text(_SELECT + "where n.id = :id and n.organization_id = :organization")
_LOCK = text(_SELECT + "where n.id = :id and n.organization_id = :organization for update")
_PAGE = text(
    _SELECT
    + """
     where n.organization_id = :organization and (cast(:state as text) is null or n.state = :state)
       and (cast(:after_at as timestamptz) is null or (n.posted_at, n.id) < (:after_at, cast(:after_id as uuid)))
     order by n.posted_at desc, n.id desc
     limit :limit
"""
)
# One statement for one need and for a queue of 500: what a POST costs is mostly the number of its round trips. Parties
# leave at the same hour of the morning, and the planner may believe that nobody lives: so `ends` and `ended_at` are
# kept from being what it looks for.
ADD = text(f"""
    with posted as (
        insert into need (id, organization_id, category, town_id, cell, point, adults, minors, starts, ends, urgency,
                          tier, stay, audience, requires, countries, max_km, divisible, teaches, level, deadline, slip,
                          pathway_id, project_id, step)
        select id, organization_id, category, town_id, cell, point, adults, minors, starts, ends, urgency,
               tier, stay, audience, requires, countries, max_km, divisible, teaches, level, deadline, slip,
               pathway_id, project_id, step
          from jsonb_populate_recordset(cast(null as need), cast(:rows as jsonb))
        returning *
    ), told as (
        insert into event (kind, object_id, organizations)
        select 'need.posted', id, array[organization_id] from posted
    ), live as (
        select id, organization_id, category, town_id, starts, ends, adults, minors, posted_at from posted
    )
    select {", ".join(f"posted.{name}" for name in COLUMNS)}, like_it.ids[1] as lookalike
      from posted
      cross join lateral (
          select array_agg(id order by posted_at, id) as ids
            from (select n.id, n.posted_at from need n
                   where n.organization_id = posted.organization_id and n.town_id = posted.town_id
                     and n.starts = posted.starts and coalesce(n.ended_at, 'infinity') = 'infinity'
                     and n.category = posted.category and n.ends + interval '0' = posted.ends
                     and n.adults = posted.adults and n.minors = posted.minors
                     and n.state in ('open', 'held', 'confirmed', 'referred', 'unmet')
                   union all
                  select n.id, n.posted_at from live n
                   where n.town_id = posted.town_id and n.starts = posted.starts and n.id <> posted.id
                     and n.category = posted.category and n.ends = posted.ends
                     and n.adults = posted.adults and n.minors = posted.minors) n
      ) like_it
""")
"""Posts needs, `rows` as JSON, and finds for each another that asks the same."""
_SETTINGS = text("""
    select asked.category, asked.town, c.coverage, t.country, t.timezone, t.cell, p.version, p.terms,
           clock_timestamp() as now
      from (select version, terms from policy order by version desc limit 1) p
      cross join unnest(cast(:categories as text[]), cast(:towns as int[])) as asked (category, town)
      left join category c on c.code = asked.category
      left join town t on t.id = asked.town
""")
_ANSWERED = text("""
    select n.id from need n
     where n.id = any(cast(:ids as uuid[]))
       and (n.state <> 'open' or exists (select from allocation a where a.need_id = n.id))
""")
_LEFT_OUT = text("""
    select exists (select from need n join project p on p.id = n.project_id
                    where n.id = :id and n.state in ('open', 'unmet') and p.state in ('proposed', 'accepted'))
""")
_LIVE = text("select id from allocation where need_id = :id and state in ('held', 'confirmed', 'arrived')")
_WITHDRAW = text("""
    update need set state = 'withdrawn', ended_at = now(), version = version + 1
     where id = :id and state in ('open', 'held', 'confirmed', 'referred', 'unmet') and ended_at is null
    returning id
""")
_LET_GO = text("""
    update allocation set state = 'released', reason = :reason, ended_at = now(), version = version + 1
     where id = :id
    returning provider_id, poster_id
""")


async def add(
    tx: AsyncConnection,
    organization_id: UUID,
    terms: Sequence[NeedTerms],
    at: Sequence[str] = ("",),
    filed: Callable[[UUID], bytes] | None = None,
    pathway_id: UUID | None = None,
    project_id: UUID | None = None,
) -> list[Posted]:
    """Post needs, all or none, in the order given; due to be matched at once.

    `at` are the JSON pointers of the needs in what was sent, for the flaws; `filed` says under what the slip of a need
    is found; `pathway_id` is that of which they are the steps, `project_id` that of which they are the parties.
    Raises `Invalid` with every flaw.
    """
    policy, now, settings = await settings_of(tx, terms)
    flaws: list[Flaw] = []
    rows: list[dict[str, object]] = []
    for one, setting, pointer in zip(terms, settings, at, strict=True):
        if isinstance(setting, Flaw):
            flaws.append(Flaw(pointer + setting.at, setting.code))
            continue
        flaws += (
            Flaw(pointer + flaw.at, flaw.code, flaw.facts)
            for flaw in flaws_of(one, setting.coverage, setting.zone, now)
        )
        need_id = uuid4()
        rows.append({"id": need_id, "organization_id": organization_id, **columns_of(one, setting)})
        rows[-1]["slip"] = f"\\x{filed(need_id).hex()}" if filed else None
        rows[-1] |= {"pathway_id": pathway_id, "project_id": project_id}
        rows[-1]["step"] = len(rows) if pathway_id or project_id else None
        rows[-1]["deadline"] = deadline_of(one, policy, now) if one.starts < one.ends else now
    if flaws:
        raise Invalid(tuple(flaws))
    added = {row.id: row for row in await tx.execute(ADD, {"rows": json.dumps(rows, default=str)})}
    return [Posted(facts_of(row._mapping), row.lookalike) for row in (added[row["id"]] for row in rows)]


async def read(tx: AsyncConnection, need_id: UUID, organization_id: UUID) -> NeedFacts:
    """One need of this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": need_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return facts_of(row._mapping)


async def lock(tx: AsyncConnection, need_id: UUID, organization_id: UUID) -> NeedFacts:
    """The same, once nobody else is at it: the first step of every act of its organization on it. Raises `NotFound`.

    Somebody else's need is not waited for: that would tell that it is there, and hold up who places it.
    """
    row = (await tx.execute(_LOCK, {"id": need_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return facts_of(row._mapping)


async def page(
    tx: AsyncConnection, organization_id: UUID, state: NeedState | None, after: Place | None, limit: int
) -> Page[NeedFacts]:
    """Needs of this organization, newest first."""
    rows = await tx.execute(
        _PAGE,
        {
            "organization": organization_id,
            "state": state,
            **reading(after, limit),
        },
    )
    return Page.of([facts_of(row._mapping) for row in rows], limit, lambda need: Place(need.posted_at, need.id))


async def answered(tx: AsyncConnection, ids: Sequence[UUID]) -> frozenset[UUID]:
    """Those of these needs for which a place was held, or that are not open any more."""
    return frozenset((await tx.execute(_ANSWERED, {"ids": list(ids)})).scalars())


async def withdraw(
    tx: AsyncConnection, need_id: UUID, organization_id: UUID, reason: RefuseReason = RefuseReason.MOVED_ON
) -> None:
    """End a need and give its places back.

    Raises `NotFound`, or `Conflict` when it has ended otherwise, or is a party of a project, which ends as a whole: but
    for parties that an accepted plan left out, or that lost their place since.
    """
    need = await lock(tx, need_id, organization_id)
    if need.project_id is not None and not (await tx.execute(_LEFT_OUT, {"id": need_id})).scalar_one():
        raise Conflict("part_of_project", need.state)
    await end(tx, need, reason)


async def end(tx: AsyncConnection, need: NeedFacts, reason: RefuseReason = RefuseReason.MOVED_ON) -> None:
    """The same for a need that the caller has locked, with its project where it has one. Raises `Conflict`."""
    need_id, organization_id = need.id, need.organization_id
    if need.state is NeedState.WITHDRAWN:
        return
    async with acting_as(tx, Role.MATCHER):
        await referrals.withdraw(tx, need_id)
        for allocation_id in (await tx.execute(_LIVE, {"id": need_id})).scalars().all():
            sides = (await tx.execute(_LET_GO, {"id": allocation_id, "reason": reason})).one()
            await holds.free_places(tx, allocation_id, whole=False)
            await events.record(tx, "allocation.released", allocation_id, list(sides), need_id=str(need_id))
    if (await tx.execute(_WITHDRAW, {"id": need_id})).one_or_none() is None:
        raise Conflict("need_has_ended", need.state)
    await events.record(tx, "need.withdrawn", need_id, [organization_id])


async def settings_of(
    tx: AsyncConnection, terms: Sequence[NeedTerms]
) -> tuple[Policy, datetime, list["_Setting | Flaw"]]:
    """The policy in force, the database's time, and what each need's category and town say, or a flaw."""
    asked = {(one.category, one.town_id) for one in terms}
    values = {"categories": [category for category, _ in asked], "towns": [town for _, town in asked]}
    rows = (await tx.execute(_SETTINGS, values)).all()
    known = {(row.category, row.town): row for row in rows}

    def setting(one: NeedTerms) -> _Setting | Flaw:
        row = known[one.category, one.town_id]
        if row.coverage is None:
            return Flaw("/category", "unknown_category")
        if row.country is None:
            return Flaw("/town", "unknown_town")
        return _Setting(Coverage(row.coverage), row.country, ZoneInfo(row.timezone), Cell(row.cell))

    return policy_of(rows[0].version, rows[0].terms), rows[0].now, [setting(one) for one in terms]


def columns_of(terms: NeedTerms, setting: _Setting) -> dict[str, object]:
    """The columns that hold a need's terms; without a country named, a place must lie in the town's own."""
    return {
        "category": terms.category,
        "town_id": terms.town_id,
        "cell": setting.cell,
        "point": centroid(setting.cell).ewkt,
        "adults": terms.people.adults,
        "minors": terms.people.minors,
        "starts": terms.starts,
        "ends": terms.ends,
        "urgency": terms.urgency,
        "tier": terms.urgency.tier,
        "stay": terms.stay,
        "audience": sorted(terms.audience),
        "requires": sorted(terms.requires),
        "countries": sorted(terms.countries or {setting.country}),
        "max_km": terms.max_km,
        "divisible": terms.divisible,
        "teaches": terms.language.teaches if terms.language else None,
        "level": terms.language.level if terms.language else None,
    }


def facts_of(values: Mapping[str, Any] | RowMapping) -> NeedFacts:
    """A need out of its columns."""
    return NeedFacts(
        id=values["id"],
        organization_id=values["organization_id"],
        terms=NeedTerms(
            category=values["category"],
            town_id=values["town_id"],
            people=People(values["adults"], values["minors"]),
            starts=values["starts"],
            ends=values["ends"],
            urgency=Urgency(values["urgency"]),
            stay=Stay(values["stay"]),
            audience=frozenset(map(Audience, values["audience"])),
            requires=frozenset(values["requires"]),
            countries=frozenset(values["countries"]),
            max_km=values["max_km"],
            divisible=values["divisible"],
            language=language_of(values["teaches"], values["level"]),
        ),
        state=NeedState(values["state"]),
        posted_at=values["posted_at"],
        deadline=values["deadline"],
        unmet_reasons=values["unmet_reasons"],
        parked=values["parked_at"] is not None,
        searched_town_id=values["searched_town_id"],
        pathway_id=values["pathway_id"],
        project_id=values["project_id"],
        version=values["version"],
    )
