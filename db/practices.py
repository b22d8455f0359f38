"""The language of practices: tell one, read, list, change and withdraw; and what the public figures say came of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from db.pages import Page, Place, reading
from db.tables import Practice as PracticeRow
from db.tables.metadata import columns
from matching.figures.measures import Measure
from matching.practices import Doing, Funding, Means, Obstacle, PracticeState, PracticeTerms, flaws_of
from matching.refusals import Conflict, Flaw, Invalid, NotFound, StaleVersion
from matching.vocabulary import Audience

__all__ = ["Filter", "PracticeFacts", "Result", "add", "change", "page", "read", "results", "withdraw"]


@dataclass(frozen=True, slots=True)
class PracticeFacts:
    """A practice as the network sees it; `named` where the organization said that it may be."""

    id: UUID
    organization_id: UUID
    organization: str | None
    terms: PracticeTerms
    state: PracticeState
    created_at: datetime
    changed_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which practices a list is of; `None` does not choose. `near` is a town and how many kilometres around it."""

    town_id: int | None = None
    country: str | None = None
    category: str | None = None
    doing: Doing | None = None
    means: Means | None = None
    near: int | None = None
    within_km: int = 100
    own: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What the public figures of a practice's town and kind of help add up to, over the months since it began.

    Only what was published counts: a month or a figure that is withheld is not in it.
    """

    months: int = 0
    sums: dict[Measure, int] = field(default_factory=dict)


_SELECT = f"""
    select {columns(PracticeRow, "p")}, o.name as organization
      from practice p left join organization o on o.id = p.organization_id
"""
_READ = text(_SELECT + "where p.id = :id and (p.state = 'told' or p.organization_id = :organization)")
_LOCK = text("select version from practice where id = :id and organization_id = :organization for update")
_PAGE = text(
    _SELECT
    + """
     where (p.organization_id = :organization or (p.state = 'told' and not :own))
       and (cast(:town_id as int) is null or p.town_id = :town_id)
       and (cast(:category as text) is null or p.category = :category)
       and (cast(:doing as text) is null or p.doing = :doing)
       and (cast(:means as text) is null or :means = any(p.means))
       and (cast(:country as text) is null
            or (select t.country from town t where t.id = p.town_id) = :country)
       and (cast(:near as int) is null
            or (select st_dwithin(t.point, n.point, :within_km * 1000, false)
                  from town t, town n where t.id = p.town_id and n.id = :near))
       and (cast(:after_at as timestamptz) is null or (p.created_at, p.id) < (:after_at, cast(:after_id as uuid)))
     order by p.created_at desc, p.id desc
     limit :limit
"""
)
_TODAY = text("""
    select cast(clock_timestamp() at time zone 'UTC' as date) as today,
           array(select town_id from organization_town where organization_id = :organization) as towns,
           exists (select from category where code = :category) as known
""")
_TERMS = (
    "town_id", "doing", "category", "audience", "first_month", "last_month", "places", "volunteers",
    "paid_hours_per_week", "cost_per_year", "currency", "means", "funding", "obstacles", "named"
)  # fmt: skip
_ADD = text(
    f"insert into practice (id, organization_id, {', '.join(_TERMS)}) "
    f"values (:id, :organization, {', '.join(f':{name}' for name in _TERMS)})"
)
_CHANGE = text(
    f"update practice set {', '.join(f'{name} = :{name}' for name in _TERMS)}, changed_at = now(), "
    "version = version + 1 where id = :id"
)
_WITHDRAW = text("update practice set state = 'withdrawn', changed_at = now(), version = version + 1 where id = :id")
_RESULTS = text("""
    select p.id, g.measure, sum(g.value) as value, count(distinct g.first_day) as months
      from practice p
      join figure g on g.span = 'month' and g.area = cast(p.town_id as text) and g.category = p.category and g.part = ''
                   and g.measure = any(cast(:measures as text[]))
                   and g.first_day >= p.first_month and (p.last_month is null or g.first_day <= p.last_month)
     where p.id = any(cast(:ids as uuid[]))
     group by p.id, g.measure
""")
_TOLD_OF = (Measure.ASKED, Measure.SERVED, Measure.UNMET, Measure.NIGHTS)


async def add(tx: AsyncConnection, organization_id: UUID, terms: PracticeTerms) -> UUID:
    """Tell the network of a practice. Raises `Invalid` with every flaw."""
    await _check(tx, organization_id, terms)
    practice_id = uuid4()
    await tx.execute(_ADD, _columns(terms) | {"id": practice_id, "organization": organization_id})
    await events.record(tx, "practice.told", practice_id, [organization_id])
    return practice_id


async def read(tx: AsyncConnection, practice_id: UUID, organization_id: UUID) -> PracticeFacts:
    """One practice that is told, or one of this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": practice_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def page(
    tx: AsyncConnection, organization_id: UUID, which: Filter, after: Place | None, limit: int
) -> Page[PracticeFacts]:
    """Practices that are told and those of this organization, or these alone; newest first."""
    rows = await tx.execute(
        _PAGE,
        {
            "organization": organization_id,
            "own": which.own,
            "town_id": which.town_id,
            "country": which.country,
            "category": which.category,
            "doing": which.doing,
            "means": which.means,
            "near": which.near,
            "within_km": which.within_km,
            **reading(after, limit),
        },
    )
    return Page.of([_facts(row) for row in rows], limit, lambda each: Place(each.created_at, each.id))


async def results(tx: AsyncConnection, practice_ids: Collection[UUID]) -> dict[UUID, Result]:
    """What came of each of these, by the public figures."""
    found = {practice_id: Result() for practice_id in practice_ids}
    for row in await tx.execute(_RESULTS, {"ids": list(practice_ids), "measures": list(_TOLD_OF)}):
        before = found[row.id]
        found[row.id] = Result(max(before.months, row.months), before.sums | {Measure(row.measure): int(row.value)})
    return found


async def change(
    tx: AsyncConnection,
    practice_id: UUID,
    organization_id: UUID,
    version: int | None,
    revise: Callable[[PracticeTerms], PracticeTerms],
) -> None:
    """Give one new terms. Raises `NotFound`, `StaleVersion`, `Invalid`, and `Conflict` where it was withdrawn."""
    before = await _lock(tx, practice_id, organization_id, version)
    terms = revise(before.terms)
    await _check(tx, organization_id, terms)
    await tx.execute(_CHANGE, _columns(terms) | {"id": practice_id})
    await events.record(tx, "practice.changed", practice_id, [organization_id])


async def withdraw(tx: AsyncConnection, practice_id: UUID, organization_id: UUID) -> None:
    """Tell nobody of it any more, for good. Raises `NotFound`, and `Conflict` where it was withdrawn before."""
    await _lock(tx, practice_id, organization_id, None)
    await tx.execute(_WITHDRAW, {"id": practice_id})
    await events.record(tx, "practice.withdrawn", practice_id, [organization_id])


async def _check(tx: AsyncConnection, organization_id: UUID, terms: PracticeTerms) -> None:
    asked = {"organization": organization_id, "category": terms.category}
    setting = (await tx.execute(_TODAY, asked)).one()
    flaws = list(flaws_of(terms, setting.towns, setting.today))
    if not setting.known:
        flaws.append(Flaw("/category", "unknown_category"))
    if flaws:
        raise Invalid(tuple(flaws))


async def _lock(tx: AsyncConnection, practice_id: UUID, organization_id: UUID, version: int | None) -> PracticeFacts:
    current = (await tx.execute(_LOCK, {"id": practice_id, "organization": organization_id})).scalar_one_or_none()
    if current is None:
        raise NotFound
    if version not in (None, current):
        raise StaleVersion(current)
    before = await read(tx, practice_id, organization_id)
    if before.state is PracticeState.WITHDRAWN:
        raise Conflict("practice_is_withdrawn", before.state)
    return before


def _columns(terms: PracticeTerms) -> dict[str, object]:
    given = {name: getattr(terms, name) for name in _TERMS}
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in given.items()}


def _facts(row: Row[tuple[object, ...]]) -> PracticeFacts:
    values = row._mapping
    return PracticeFacts(
        id=values["id"],
        organization_id=values["organization_id"],
        organization=values["organization"],
        terms=PracticeTerms(
            town_id=values["town_id"],
            doing=Doing(values["doing"]),
            category=values["category"],
            audience=frozenset(map(Audience, values["audience"])),
            first_month=values["first_month"],
            last_month=values["last_month"],
            places=values["places"],
            volunteers=values["volunteers"],
            paid_hours_per_week=values["paid_hours_per_week"],
            cost_per_year=values["cost_per_year"],
            currency=values["currency"],
            means=frozenset(map(Means, values["means"])),
            funding=frozenset(map(Funding, values["funding"])),
            obstacles=frozenset(map(Obstacle, values["obstacles"])),
            named=values["named"],
        ),
        state=PracticeState(values["state"]),
        created_at=values["created_at"],
        changed_at=values["changed_at"],
        version=values["version"],
    )
