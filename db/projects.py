"""The language of projects: add, read, list, withdraw. Plans, and the people's answer to them, are `project_plans`'.

Each party is a need that names its project; it is looked at with the others, and ends with them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, needs, organizations, project_answers
from db.needs import NeedFacts
from db.pages import Page, Place, reading
from db.roles import Role, acting_as
from matching.posting import NeedTerms, flaws_of
from matching.projects import ProjectState
from matching.refusals import Conflict, Flaw, Invalid, NotFound
from matching.vocabulary import Coverage, RefuseReason

__all__ = [
    "ProjectFacts",
    "ProjectTerms",
    "add",
    "check_new",
    "check_self_organized",
    "leave",
    "page",
    "read",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class ProjectTerms:
    """What is promised: how near each other, how many people at least, and how long the people may think."""

    together_km: int
    minimum: int
    answer_hours: int


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """A project as its organization sees it, with its parties in their order.

    `plan` counts the plans that were proposed; `answer_by` is until when the people may answer the one that is.
    """

    id: UUID
    terms: ProjectTerms
    state: ProjectState
    plan: int
    answer_by: datetime | None
    posted_at: datetime
    parties: tuple[NeedFacts, ...]
    version: int


_OF_ALL: Final = frozenset({"/town", "/from", "/until", "/category", "/countries", "/max_km"})
"""What is said once for all parties."""
_COLUMNS: Final = "p.id, p.together_km, p.minimum, p.answer_hours, p.state, p.plan, p.answer_by, p.posted_at, p.version"
_ADD = text("""
    insert into project (id, organization_id, together_km, minimum, answer_hours, slip)
    values (:id, :organization, :together_km, :minimum, :answer_hours, :slip)
""")
_READ = text(f"select {_COLUMNS} from project p where p.id = :id and p.organization_id = :organization")
_PAGE = text(f"""
    select {_COLUMNS} from project p
     where p.organization_id = :organization
       and exists (select from need n where n.project_id = p.id)
       and (cast(:over as boolean) is null or :over = (p.state in ('closed', 'withdrawn')))
       and (cast(:after_at as timestamptz) is null or (p.posted_at, p.id) < (:after_at, cast(:after_id as uuid)))
     order by p.posted_at desc, p.id desc
     limit :limit
""")
_PARTIES = text(f"""
    select n.project_id as project, {", ".join(f"n.{name}" for name in needs.COLUMNS)} from need n
     where n.project_id = any(cast(:ids as uuid[])) and n.organization_id = :organization
     order by n.step
""")
_LOCK_NEEDS = text("""
    select id, ended_at is null as lives from need
     where project_id = :id and organization_id = :organization order by id for update
""")
_LOCK = text("select state from project where id = :id and organization_id = :organization for update")
_END = text("update project set state = 'withdrawn', answer_by = null, version = version + 1 where id = :id")


async def add(
    tx: AsyncConnection,
    organization_id: UUID,
    terms: ProjectTerms,
    parties: Sequence[NeedTerms],
    filed: Callable[[UUID], bytes],
) -> ProjectFacts:
    """Post a project; a plan is looked for at once. `filed` says under what its slip is found.

    Raises `Invalid` with every flaw, each at its party or at what is said for all.
    """
    await _check(tx, terms, parties)
    project_id = uuid4()
    values = {"id": project_id, "organization": organization_id, "slip": filed(project_id)}
    asked = {name: getattr(terms, name) for name in ProjectTerms.__slots__}
    await tx.execute(_ADD, values | asked)
    pointers = [f"/parties/{number}" for number in range(len(parties))]
    await needs.add(tx, organization_id, parties, pointers, project_id=project_id)
    await events.record(tx, "project.posted", project_id, [organization_id])
    return await read(tx, project_id, organization_id)


async def check_new(tx: AsyncConnection, terms: ProjectTerms, parties: Sequence[NeedTerms]) -> None:
    """Whether such a project can be posted: raises what `add` raises, and writes nothing."""
    await _check(tx, terms, parties)


async def read(tx: AsyncConnection, project_id: UUID, organization_id: UUID) -> ProjectFacts:
    """One project of this organization. Raises `NotFound`, also once the last of its needs was purged."""
    rows = (await tx.execute(_READ, {"id": project_id, "organization": organization_id})).all()
    found = await _with_parties(tx, organization_id, rows)
    if not found or not found[0].parties:
        raise NotFound
    return found[0]


async def page(
    tx: AsyncConnection, organization_id: UUID, after: Place | None, limit: int, *, over: bool | None = None
) -> Page[ProjectFacts]:
    """Projects of this organization, newest first; where it is told, only those that are `over`, or only the others."""
    rows = (await tx.execute(_PAGE, {"organization": organization_id, "over": over, **reading(after, limit)})).all()
    found = await _with_parties(tx, organization_id, rows)
    return Page.of(found, limit, lambda project: Place(project.posted_at, project.id))


async def withdraw(
    tx: AsyncConnection, project_id: UUID, organization_id: UUID, reason: RefuseReason = RefuseReason.MOVED_ON
) -> None:
    """End a project and give all its places back; twice changes nothing. Raises `NotFound`, `Conflict` once closed."""
    locked = (await tx.execute(_LOCK_NEEDS, _own(project_id, organization_id))).all()
    living = [row.id for row in locked if row.lives]
    row = (await tx.execute(_LOCK, _own(project_id, organization_id))).one_or_none()
    if row is None:
        raise NotFound
    if row.state == ProjectState.WITHDRAWN:
        return
    if not living:
        raise Conflict("need_has_ended", row.state)
    await tx.execute(_END, {"id": project_id})
    for need_id in living:
        await needs.end(tx, await needs.read(tx, need_id, organization_id), reason)
    await events.record(tx, "project.withdrawn", project_id, [organization_id])


async def leave(
    tx: AsyncConnection,
    project_id: UUID,
    organization_id: UUID,
    reason: RefuseReason,
    houses: Collection[UUID] | None = None,
    plan: int | None = None,
) -> None:
    """Some have found something elsewhere or have moved on; who has a place to which they said yes keeps it.

    With `houses`, in answer to a plan: those who would go there, or where none is named all whom the plan is for. Else
    all who have no place yet. Where nobody has one, or nobody is without, it is over for all. Raises as `withdraw`, and
    as an answer does.
    """
    locked = (await tx.execute(_LOCK_NEEDS, _own(project_id, organization_id))).all()
    async with acting_as(tx, Role.MATCHER):
        stay = await project_answers.stay_of(tx, project_id)
        proposed = [] if houses is None else (await project_answers.waiting(tx, project_id, houses, plan))[1]
    if houses is None:
        going = [row.id for row in locked if row.lives and row.id not in stay]
    else:
        going = sorted({held.need_id for held in proposed if not houses or held.offer_id in houses})
    if not going or not (stay or houses):
        await withdraw(tx, project_id, organization_id, reason)
        return
    for need_id in going:
        await needs.end(tx, await needs.read(tx, need_id, organization_id), reason)
    async with acting_as(tx, Role.MATCHER):
        await project_answers.after_loss(tx, going[-1])


async def check_self_organized(tx: AsyncConnection, project_id: UUID, organization_id: UUID) -> None:
    """Let only the people's own organization answer for them. Raises `NotFound`, and `Conflict` for any other."""
    project = await read(tx, project_id, organization_id)
    if not (await organizations.read(tx, organization_id)).self_organized:
        raise Conflict("only_the_people", project.state)


def _own(project_id: UUID, organization_id: UUID) -> dict[str, UUID]:
    return {"id": project_id, "organization": organization_id}


async def _check(tx: AsyncConnection, terms: ProjectTerms, parties: Sequence[NeedTerms]) -> None:
    _, now, settings = await needs.settings_of(tx, parties)
    flaws: list[Flaw] = []
    for number, (party, setting) in enumerate(zip(parties, settings, strict=True)):
        if isinstance(setting, Flaw):
            flaws.append(setting)
            continue
        if setting.coverage is not Coverage.EVERY:
            flaws.append(Flaw("/category", "by_the_night"))
        for flaw in flaws_of(party, setting.coverage, setting.zone, now):
            at = flaw.at if flaw.at in _OF_ALL else f"/parties/{number}{flaw.at}"
            flaws.append(Flaw(at, flaw.code, flaw.facts))
    if terms.minimum > sum(party.people.count for party in parties):
        flaws.append(Flaw("/minimum", "more_than_they_are"))
    if flaws:
        raise Invalid(tuple(dict.fromkeys(flaws)))


async def _with_parties(
    tx: AsyncConnection, organization_id: UUID, rows: Sequence[Row[tuple[object, ...]]]
) -> list[ProjectFacts]:
    values = {"ids": [row.id for row in rows], "organization": organization_id}
    parties: Mapping[UUID, list[NeedFacts]] = {row.id: [] for row in rows}
    for row in await tx.execute(_PARTIES, values):
        parties[row.project].append(needs.facts_of(row._mapping))
    return [
        ProjectFacts(
            id=row.id,
            terms=ProjectTerms(row.together_km, row.minimum, row.answer_hours),
            state=ProjectState(row.state),
            plan=row.plan,
            answer_by=row.answer_by,
            posted_at=row.posted_at,
            parties=tuple(parties[row.id]),
            version=row.version,
        )
        for row in rows
    ]
