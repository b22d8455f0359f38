"""The language of pathways: add, read, list, withdraw. How their steps find places is `pathway_holds`' to say.

A pathway is little more than the id that its needs share: each step is a need as any other, with its own state,
events, term and explanation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import needs
from db.needs import NeedFacts
from db.pages import Page, Place, reading
from db.roles import Role, acting_as
from geo.cells import Cell
from geo.distance import Kilometres, kilometres_between
from matching.posting import NeedTerms, flaws_of
from matching.refusals import Conflict, Flaw, Invalid, NotFound
from matching.states import NeedState
from matching.vocabulary import Coverage

__all__ = ["PathwayFacts", "PathwayPosted", "add", "check_new", "page", "read", "withdraw"]


@dataclass(frozen=True, slots=True)
class PathwayFacts:
    """A pathway as its organization sees it: the steps that were not purged yet, in their order.

    `from_bed` is how far the place of a step lies from that of the bed, where both have one.
    """

    id: UUID
    near_km: int
    posted_at: datetime
    steps: tuple[NeedFacts, ...]
    from_bed: Mapping[UUID, Kilometres]

    @property
    def version(self) -> int:
        """Counts changes of its steps."""
        return sum(step.version for step in self.steps) or 1


@dataclass(frozen=True, slots=True)
class PathwayPosted:
    """A new pathway, and a live need of the same organization that asks for the same bed, where there is one."""

    pathway: PathwayFacts
    lookalike: UUID | None


_OF_PARTY: Final = frozenset({"/people", "/audience", "/town"})
"""What is said once for all steps."""
_ADD = text("""
    insert into pathway (id, organization_id, near_km, slip) values (:id, :organization, :near_km, :slip)
    returning posted_at
""")
_FILE = text("select id, near_km, posted_at from pathway where id = :id and organization_id = :organization")
_PAGE = text("""
    select p.id, p.near_km, p.posted_at from pathway p
     where p.organization_id = :organization
       and exists (select from need n where n.pathway_id = p.id)
       and (cast(:over as boolean) is null
            or :over <> exists (select from need n where n.pathway_id = p.id and n.ended_at is null))
       and (cast(:after_at as timestamptz) is null or (p.posted_at, p.id) < (:after_at, cast(:after_id as uuid)))
     order by p.posted_at desc, p.id desc
     limit :limit
""")
_STEPS = text(f"""
    select {", ".join(f"n.{name}" for name in needs.COLUMNS)} from need n
     where n.pathway_id = any(cast(:ids as uuid[])) and n.organization_id = :organization
     order by n.step
""")
_CELLS = text("""
    select n.pathway_id, n.id, c.coverage, o.cell
      from need n
      join category c on c.code = n.category
      join allocation a on a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived')
      join offer o on o.id = a.offer_id
     where n.pathway_id = any(cast(:ids as uuid[]))
""")
_LOCK = text("""
    select id, state, ended_at is not null as ended from need
     where pathway_id = :id and organization_id = :organization order by id for update
""")


async def add(
    tx: AsyncConnection,
    organization_id: UUID,
    steps: Sequence[NeedTerms],
    near_km: int,
    filed: Callable[[UUID], bytes],
) -> PathwayPosted:
    """Post the steps of one party's pathway; due to be matched at once. One of them is by the night: the bed.

    `filed` says under what its slip is found. Raises `Invalid` with every flaw, each at its step or at the party.
    """
    bed = await _check(tx, steps)
    within = [terms if number == bed else replace(terms, max_km=near_km) for number, terms in enumerate(steps)]
    pathway_id = uuid4()
    values = {"id": pathway_id, "organization": organization_id, "near_km": near_km, "slip": filed(pathway_id)}
    posted_at = (await tx.execute(_ADD, values)).scalar_one()
    pointers = [f"/steps/{number}" for number in range(len(steps))]
    added = await needs.add(tx, organization_id, within, pointers, pathway_id=pathway_id)
    own = {one.need.id for one in added}
    pathway = PathwayFacts(pathway_id, near_km, posted_at, tuple(one.need for one in added), {})
    return PathwayPosted(pathway, next((one.lookalike for one in added if one.lookalike not in {None, *own}), None))


async def check_new(tx: AsyncConnection, steps: Sequence[NeedTerms]) -> None:
    """Whether such a pathway can be posted: raises what `add` raises, and writes nothing."""
    await _check(tx, steps)


async def read(tx: AsyncConnection, pathway_id: UUID, organization_id: UUID) -> PathwayFacts:
    """One pathway of this organization. Raises `NotFound`, also once the last of its needs was purged."""
    row = (await tx.execute(_FILE, {"id": pathway_id, "organization": organization_id})).one_or_none()
    found = [] if row is None else await _with_steps(tx, organization_id, {row.id: (row.near_km, row.posted_at)})
    if not found or not found[0].steps:
        raise NotFound
    return found[0]


async def page(
    tx: AsyncConnection, organization_id: UUID, after: Place | None, limit: int, *, over: bool | None = None
) -> Page[PathwayFacts]:
    """Pathways of this organization, newest first; where it is told, only those that are `over`, or only the others."""
    rows = await tx.execute(_PAGE, {"organization": organization_id, "over": over, **reading(after, limit)})
    found = await _with_steps(tx, organization_id, {row.id: (row.near_km, row.posted_at) for row in rows})
    return Page.of(found, limit, lambda pathway: Place(pathway.posted_at, pathway.id))


async def withdraw(tx: AsyncConnection, pathway_id: UUID, organization_id: UUID) -> None:
    """End what is left of a pathway and give its places back; twice changes nothing.

    Raises `NotFound`, and `Conflict` where all of it has ended otherwise.
    """
    rows = (await tx.execute(_LOCK, {"id": pathway_id, "organization": organization_id})).all()
    if not rows:
        raise NotFound
    living = [row.id for row in rows if not row.ended]
    for need_id in living:
        await needs.withdraw(tx, need_id, organization_id)
    if not living and not any(row.state == NeedState.WITHDRAWN for row in rows):
        raise Conflict("need_has_ended", rows[0].state)


async def _check(tx: AsyncConnection, steps: Sequence[NeedTerms]) -> int:
    """Which step is the bed. Raises `Invalid`."""
    _, now, settings = await needs.settings_of(tx, steps)
    flaws: list[Flaw] = []
    beds: list[int] = []
    for number, (terms, setting) in enumerate(zip(steps, settings, strict=True)):
        if isinstance(setting, Flaw):
            flaws.append(_at_step(number, setting))
            continue
        if setting.coverage is Coverage.EVERY:
            beds.append(number)
        flaws += (_at_step(number, flaw) for flaw in flaws_of(terms, setting.coverage, setting.zone, now))
    if not flaws and len(beds) != 1:
        flaws.append(Flaw("/steps", "one_bed_needed"))
    if flaws:
        raise Invalid(tuple(dict.fromkeys(flaws)))
    return beds[0]


def _at_step(number: int, flaw: Flaw) -> Flaw:
    """A step's flaw at the step, or once at what is said for all."""
    return flaw if flaw.at in _OF_PARTY else Flaw(f"/steps/{number}{flaw.at}", flaw.code, flaw.facts)


async def _with_steps(
    tx: AsyncConnection, organization_id: UUID, pathways: Mapping[UUID, tuple[int, datetime]]
) -> list[PathwayFacts]:
    ids = list(pathways)
    rows = (await tx.execute(_STEPS, {"ids": ids, "organization": organization_id})).all()
    steps = [needs.facts_of(row._mapping) for row in rows]
    async with acting_as(tx, Role.MATCHER):
        placed = (await tx.execute(_CELLS, {"ids": ids})).all()
    beds = {row.pathway_id: Cell(row.cell) for row in placed if row.coverage == Coverage.EVERY}
    from_bed = {
        row.id: kilometres_between(beds[row.pathway_id], Cell(row.cell))
        for row in placed
        if row.coverage != Coverage.EVERY and row.pathway_id in beds
    }
    return [
        PathwayFacts(
            id=pathway_id,
            near_km=near_km,
            posted_at=posted_at,
            steps=(own := tuple(step for step in steps if step.pathway_id == pathway_id)),
            from_bed={step.id: from_bed[step.id] for step in own if step.id in from_bed},
        )
        for pathway_id, (near_km, posted_at) in pathways.items()
    ]
