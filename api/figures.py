"""Public figures, week by week and month by month, as JSON and as CSV with HXL tags. What they mean: docs/figures.md.

Each was told once and never changes: whoever fetches it may keep it.
"""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, Field

from api.authorization import Anyone
from api.filters import OfCategory, OfCountry, OfTown
from api.problems import problems
from api.sheets import AS_SHEET, Sheet, sheet
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import CategoryCode, CountryCode, Day, TownId, Wire
from db import published
from db.published import Chosen, PublishedFigure, PublishedPeriod
from matching.competence import Duty
from matching.figures.calendar import first_day_of, last_day_of
from matching.figures.measures import Measure
from matching.figures.tables import ALL, Span
from matching.refusals import Invalid

__all__ = ["router"]

router = APIRouter(tags=["figures"], route_class=TransactionalRoute)
_MOST: Final = 13
_MOST_IN_A_FILE: Final = 53
_KEEP: Final = "public, max-age=600"
_COLUMNS: Final = {
    "first_day": "#date+start",
    "last_day": "#date+end",
    "country": "#country+code+v_iso2",
    "town": "#loc+code+v_geonames",
    "town_name": "#loc+name",
    "category": "#sector+code",
    "measure": "#indicator+code",
    "part": "#indicator+part+code",
    "value": "#indicator+value+num",
    "per_thousand": "#indicator+per_thousand+num",
    "duty": "#org+responsible+type",
}
"""Columns of the file, each with its HXL tag."""
Count = Annotated[int, Field(ge=0)]
Version = Annotated[int, Field(ge=1)]


class FigureOut(Wire):
    """A count that is told. One that is not here is nought, too small to be told, or withheld to protect such a one."""

    town: Annotated[TownId | None, Field(description="Null for a country and for the whole network.")]
    country: Annotated[CountryCode | None, Field(description="Null for the whole network.")]
    category: Annotated[CategoryCode | None, Field(description="Null for all kinds of help together.")]
    measure: Measure
    part: Annotated[str | None, Field(max_length=40, description="Of what, where a measure has parts.")]
    value: Count
    per_thousand: Annotated[float | None, Field(ge=0, description="Of a town: for each thousand inhabitants.")]
    duty: Annotated[
        Duty | None, Field(description="Of unmet people: whose legal duty this help was. Null for other figures.")
    ]

    @classmethod
    def of(cls, figure: PublishedFigure) -> "FigureOut":
        """Render one figure."""
        return cls(
            town=figure.town,
            country=figure.country,
            category=None if figure.category == ALL else figure.category,
            measure=figure.measure,
            part=figure.part or None,
            value=figure.value,
            per_thousand=figure.per_thousand,
            duty=figure.duty,
        )


class PeriodOut(Wire):
    """A week, or a month of whole weeks, with its figures."""

    span: Span
    first_day: date
    last_day: date
    published_at: AwareDatetime
    policy_version: Version
    competence_version: Version
    figures: Annotated[list[FigureOut], Field(max_length=100_000)]

    @classmethod
    def of(cls, period: PublishedPeriod, figures: Iterable[PublishedFigure]) -> "PeriodOut":
        """Render one week or month."""
        month = period.span is Span.MONTH
        return cls(
            span=period.span,
            first_day=first_day_of(period.first_day, month=month),
            last_day=last_day_of(period.first_day, month=month),
            published_at=period.published_at,
            policy_version=period.policy_version,
            competence_version=period.competence_version,
            figures=[FigureOut.of(each) for each in figures],
        )


class FiguresOut(Wire):
    """Weeks or months, newest first; `next` is the cursor of those before."""

    items: Annotated[list[PeriodOut], Field(max_length=_MOST)]
    next: Annotated[str, Field(max_length=10)] | None


Since = Annotated[Day | None, Query(alias="from", description="Weeks or months that begin on this day or later.")]
Until = Annotated[Day | None, Query(description="Weeks or months that begin on this day or earlier.")]


async def _chosen(town: OfTown, category: OfCategory, country: OfCountry = None) -> Chosen:
    return Chosen(town, country, category)


Which = Annotated[Chosen, Depends(_chosen)]
"""Which figures are asked for, in a route's signature."""


@router.get("/v1/figures", responses=problems(422, 503))
async def read_figures(
    _who: Anyone,
    tx: Tx,
    reply: Reply,
    chosen: Which,
    span: Span = Span.WEEK,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many weeks or months at most.")] = 4,
    cursor: Annotated[str | None, Query(max_length=10, description="`next` of the page before.")] = None,
) -> FiguresOut:
    """What was asked for, given and missing. Nobody can be found in these figures, and none ever changes."""
    found = await published.periods(tx, span, since, until, _before(cursor), limit + 1)
    shown = found[:limit]
    figures = await published.figures(tx, span, [each.first_day for each in shown], chosen)
    reply.headers["Cache-Control"] = _KEEP
    return FiguresOut(
        items=[
            PeriodOut.of(each, (figure for figure in figures if figure.first_day == each.first_day)) for each in shown
        ],
        next=shown[-1].first_day.isoformat() if len(found) > limit else None,
    )


@router.get(
    "/v1/export/figures.csv",
    response_class=Sheet,
    responses=problems(422, 503) | AS_SHEET,
)
async def export_figures(
    _who: Anyone,
    tx: Tx,
    reply: Reply,
    chosen: Which,
    span: Span = Span.WEEK,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_IN_A_FILE, description="How many weeks or months at most.")] = _MOST,
) -> Response:
    """The same as a table, newest first. The second line has HXL tags."""
    found = await published.periods(tx, span, since, until, None, limit)
    figures = await published.figures(tx, span, [each.first_day for each in found], chosen)
    reply.headers["Cache-Control"] = _KEEP
    return sheet(_COLUMNS, (_row(span, each) for each in figures))


def _before(cursor: str | None) -> date | None:
    if cursor is None:
        return None
    try:
        return date.fromisoformat(cursor)
    except ValueError:
        raise Invalid.one("?cursor", "not_a_cursor") from None


def _row(span: Span, figure: PublishedFigure) -> Iterable[object]:
    month = span is Span.MONTH
    return (
        first_day_of(figure.first_day, month=month),
        last_day_of(figure.first_day, month=month),
        figure.country,
        figure.town,
        figure.name,
        figure.category,
        figure.measure.value,
        figure.part,
        figure.value,
        figure.per_thousand,
        figure.duty.value if figure.duty else None,
    )
