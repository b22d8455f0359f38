"""Practices: what towns and associations do, told to the network so that others can do it too."""

from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api.authorization import Caller, ReadsOffers, WritesOffers
from api.filters import Around, OfCategory, OfCountry, OfTown
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.sheets import AS_SHEET, Sheet, sheet
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import CategoryCode, Instant, TownId, Wire, emptied
from db import practices
from db.practices import Filter, PracticeFacts, Result
from matching.figures.measures import Measure
from matching.practices import Doing, Funding, Means, Obstacle, PracticeState, PracticeTerms
from matching.vocabulary import Audience

__all__ = ["router"]

router = APIRouter(tags=["practices"], route_class=TransactionalRoute)
_MONTH: Final = r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])$"

_MOST_IN_A_FILE: Final = 10_000
_COLUMNS: Final = {
    "id": "#activity+id",
    "organization": "#org+name",
    "town": "#loc+code+v_geonames",
    "doing": "#activity+type+code",
    "category": "#sector+code",
    "audience": "#beneficiary+type+code+list",
    "first_month": "#date+start",
    "last_month": "#date+end",
    "places": "#capacity+num",
    "volunteers": "#org+volunteers+num",
    "paid_hours_per_week": "#org+hours+num",
    "cost_per_year": "#value+num",
    "currency": "#currency+code",
    "means": "#activity+means+code+list",
    "funding": "#org+funding+type+code+list",
    "obstacles": "#impact+obstacles+code+list",
    "months": "#indicator+months+num",
    "asked": "#indicator+asked+num",
    "served": "#indicator+served+num",
    "unmet": "#indicator+unmet+num",
    "nights": "#indicator+nights+num",
}
"""Columns of the file, each with its HXL tag."""

Month = Annotated[
    str, Field(min_length=7, max_length=7, pattern=_MONTH, examples=["2026-11"], description="A year and a month.")
]
Places = Annotated[int, Field(ge=1, le=100_000, description="People that it serves on a day or a night.")]
Volunteers = Annotated[int, Field(ge=0, le=100_000)]
PaidHours = Annotated[int, Field(ge=0, le=100_000, description="Hours a week of everybody who is paid, together.")]
Cost = Annotated[int, Field(ge=0, le=1_000_000_000, description="A year, in whole units of the currency.")]
Currency = Annotated[str, Field(min_length=3, max_length=3, pattern="^[A-Z]{3}$", examples=["EUR"])]
AudienceWords = Annotated[list[Audience], Field(min_length=1, max_length=5)]
MeansWords = Annotated[list[Means], Field(max_length=len(Means))]
FundingWords = Annotated[list[Funding], Field(max_length=len(Funding))]
ObstacleWords = Annotated[list[Obstacle], Field(max_length=len(Obstacle))]
Named = Annotated[bool, Field(description="Whether the network is told which organization does it.")]


class PracticeIn(Wire):
    """What is done, for whom, since when, with what and at what cost: words of lists and counts, no text."""

    town: TownId
    doing: Doing
    category: CategoryCode
    audience: AudienceWords = Field(default_factory=lambda: [Audience.ANYONE])
    first_month: Month
    last_month: Month | None = None
    places: Places | None = None
    volunteers: Volunteers | None = None
    paid_hours_per_week: PaidHours | None = None
    cost_per_year: Cost | None = None
    currency: Currency | None = None
    means: MeansWords = Field(default_factory=list)
    funding: FundingWords = Field(default_factory=list)
    obstacles: ObstacleWords = Field(default_factory=list)
    named: Named = False

    def terms(self) -> PracticeTerms:
        """The practice as the domain knows it."""
        return PracticeTerms(**{_TERM_OF.get(name, name): _term(name, getattr(self, name)) for name in _FIELDS})


class PracticePatch(Wire):
    """What may change of a practice; what is left out stays as it is."""

    town: TownId | None = None
    doing: Doing | None = None
    category: CategoryCode | None = None
    audience: AudienceWords | None = None
    first_month: Month | None = None
    last_month: Month | None = None
    places: Places | None = None
    volunteers: Volunteers | None = None
    paid_hours_per_week: PaidHours | None = None
    cost_per_year: Cost | None = None
    currency: Currency | None = None
    means: MeansWords | None = None
    funding: FundingWords | None = None
    obstacles: ObstacleWords | None = None
    named: Named | None = None

    def applied_to(self, terms: PracticeTerms) -> PracticeTerms:
        """The terms with the changes. Raises `Invalid` where what must be there is set to null."""
        emptied(self, may_be_null=_MAY_BE_NULL)
        changes = {_TERM_OF.get(name, name): _term(name, getattr(self, name)) for name in self.model_fields_set}
        return replace(terms, **changes)


_FIELDS: Final = tuple(PracticeIn.model_fields)
_TERM_OF: Final = {"town": "town_id"}
_MAY_BE_NULL: Final = ("last_month", "places", "volunteers", "paid_hours_per_week", "cost_per_year", "currency")


class ResultOut(Wire):
    """What the public figures of its town and kind of help add up to since it began: of everybody who helps there.

    Months and figures that are withheld count nothing here, so these are the least that it was; null: nothing is told.
    """

    months: Annotated[int, Field(ge=0, description="Months of which anything is told.")]
    asked: Annotated[int, Field(ge=0)] | None
    served: Annotated[int, Field(ge=0)] | None
    unmet: Annotated[int, Field(ge=0)] | None
    nights: Annotated[int, Field(ge=0)] | None


class PracticeOut(PracticeIn):
    """A practice as the network sees it."""

    id: UUID
    organization: Annotated[str, Field(max_length=200, description="Where it may be named.")] | None
    own: Annotated[bool, Field(description="Whether it is the caller's.")]
    state: PracticeState
    result: ResultOut
    created_at: Instant
    changed_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: PracticeFacts, result: Result, who: Caller) -> "PracticeOut":
        """Render one practice for one caller."""
        terms = facts.terms
        return cls(
            id=facts.id,
            town=terms.town_id,
            doing=terms.doing,
            category=terms.category,
            audience=sorted(terms.audience),
            first_month=_written(terms.first_month),
            last_month=_written(terms.last_month) if terms.last_month else None,
            places=terms.places,
            volunteers=terms.volunteers,
            paid_hours_per_week=terms.paid_hours_per_week,
            cost_per_year=terms.cost_per_year,
            currency=terms.currency,
            means=sorted(terms.means),
            funding=sorted(terms.funding),
            obstacles=sorted(terms.obstacles),
            named=terms.named,
            organization=facts.organization if terms.named else None,
            own=facts.organization_id == who.organization_id,
            state=facts.state,
            result=ResultOut(
                months=result.months,
                asked=result.sums.get(Measure.ASKED),
                served=result.sums.get(Measure.SERVED),
                unmet=result.sums.get(Measure.UNMET),
                nights=result.sums.get(Measure.NIGHTS),
            ),
            created_at=facts.created_at,
            changed_at=facts.changed_at,
            version=facts.version,
        )


@router.post("/v1/practices", status_code=201, responses=problems(401, 403, 409, 422))
async def tell_practice(body: PracticeIn, who: WritesOffers, tx: Tx, reply: Reply) -> PracticeOut:
    """Tell the network what is done, so that the next town can do it too."""
    practice_id = await practices.add(tx, who.organization_id, body.terms())
    reply.created(f"/v1/practices/{practice_id}")
    return await _practice(tx, who, practice_id, reply)


@router.get("/v1/practices", responses=problems(401, 403, 422))
async def list_practices(
    who: ReadsOffers,
    tx: Tx,
    after: After,
    town: OfTown,
    category: OfCategory,
    near: Around,
    limit: Limit = 50,
    country: OfCountry = None,
    doing: Annotated[Doing | None, Query()] = None,
    means: Annotated[Means | None, Query()] = None,
    within_km: Annotated[int, Query(ge=1, le=5000, description="How far around it.")] = 100,
    own: Annotated[bool, Query(description="The caller's alone.")] = False,  # noqa: FBT002 - a word of a query
) -> Listed[PracticeOut]:
    """What is done in the network, newest first, with what the public figures say came of it."""
    which = Filter(town, country, category, doing, means, near, within_km, own)
    page = await practices.page(tx, who.organization_id, which, after, limit)
    came = await practices.results(tx, [each.id for each in page.items])
    return listed(page, lambda facts: PracticeOut.of(facts, came[facts.id], who))


@router.get("/v1/practices/{practice_id}", responses=problems(401, 403, 404, 422))
async def read_practice(practice_id: UUID, who: ReadsOffers, tx: Tx, reply: Reply) -> PracticeOut:
    """One practice of the network."""
    return await _practice(tx, who, practice_id, reply)


@router.patch("/v1/practices/{practice_id}", responses=problems(401, 403, 404, 409, 412, 422, 428))
async def change_practice(
    practice_id: UUID, body: PracticePatch, who: WritesOffers, tx: Tx, reply: Reply, version: IfMatch
) -> PracticeOut:
    """Tell it otherwise."""
    await practices.change(tx, practice_id, who.organization_id, version, body.applied_to)
    return await _practice(tx, who, practice_id, reply)


@router.post("/v1/practices/{practice_id}/withdraw", responses=problems(401, 403, 404, 409, 422))
async def withdraw_practice(practice_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> PracticeOut:
    """Tell nobody of it any more, for good."""
    await practices.withdraw(tx, practice_id, who.organization_id)
    return await _practice(tx, who, practice_id, reply)


@router.get("/v1/export/practices.csv", response_class=Sheet, responses=problems(401, 403, 422) | AS_SHEET)
async def export_practices(
    who: ReadsOffers,
    tx: Tx,
    category: OfCategory,
    country: OfCountry = None,
) -> Sheet:
    """What is done in the network as a table, the newest 10,000. The second line has HXL tags."""
    which = Filter(country=country, category=category)
    page = await practices.page(tx, who.organization_id, which, None, _MOST_IN_A_FILE)
    came = await practices.results(tx, [each.id for each in page.items])
    shown = [PracticeOut.of(facts, came[facts.id], who) for facts in page.items]
    return sheet(_COLUMNS, (_row(each) for each in shown if each.state is PracticeState.TOLD))


async def _practice(tx: Tx, who: Caller, practice_id: UUID, reply: Reply) -> PracticeOut:
    facts = await practices.read(tx, practice_id, who.organization_id)
    came = await practices.results(tx, [practice_id])
    reply.version(facts.version)
    return PracticeOut.of(facts, came[practice_id], who)


def _term(name: str, value: Any) -> Any:
    if name in ("first_month", "last_month"):
        return date.fromisoformat(f"{value}-01") if value else None
    return frozenset(value) if isinstance(value, list) else value


def _written(month: date) -> str:
    return f"{month:%Y-%m}"


def _row(practice: PracticeOut) -> list[object]:
    told = practice.model_dump(mode="json") | practice.result.model_dump()
    return [" ".join(told[name]) if isinstance(told[name], list) else told[name] for name in _COLUMNS]
