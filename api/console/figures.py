"""Published figures as charts: what was asked, given and missing, by week or month, of a town, a country or all.

They are read by the functions that answer `GET /v1/figures`, so nothing stands here that is not public; it is drawn on
the server, with the numbers beside it.
"""

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import urlencode

from babel.dates import format_date
from babel.numbers import format_decimal
from fastapi import APIRouter, Request, Response

from api.console.network import category_words, month_words
from api.console.pages import FIGURES, page
from api.console.visits import ConsoleRoute, SignedIn, Visit
from api.moments import country, locale_of
from api.pace import Bucket, Rate
from api.slip import RIGHT_TO_LEFT
from api.wording import say
from db import competences, published, towns
from db.published import Chosen, PublishedFigure, ToldTown
from evidence.facts import MonthOfATown, read_month
from matching.figures.measures import WAITED, Measure
from matching.figures.tables import ALL, Span
from matching.refusals import Invalid, NotFound
from web.charts import Chart, Row, laid_out
from web.report_words import report_word

__all__ = ["number_words", "period_words", "router", "town_asked"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_SHELTER: Final = "shelter"
_PERIODS: Final = 8
_MONTHS: Final = 6
_REPORTS: Final = Rate(10, 60)
_REPORTS_OF_ALL: Final = Rate(60, 60)
_MOST_TOWNS: Final = 500
_MOST_BARS: Final = 15
_HOSTS: Final = ("association", "municipality", "coordination", "unknown")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is looked at: as `GET /v1/figures` takes it, but of one area, and of one kind of help or of all together."""

    town: int | None
    country: str | None
    category: str
    span: Span
    since: date | None
    until: date | None

    def is_of(self, figure: PublishedFigure) -> bool:
        """Whether a figure is of the very area that is asked for, and not of a part of it."""
        if self.town is not None:
            return figure.town == self.town
        return figure.town is None and figure.country == self.country


@router.get(FIGURES)
async def show_figures(request: Request, visit: SignedIn) -> Response:
    """Charts of what was told, with a table of each."""
    tx, language = visit.tx, visit.language
    told = await published.towns_told(tx, _MOST_TOWNS)
    asked = await _asked(request, visit, told)
    found = await published.periods(tx, asked.span, asked.since, asked.until, None, _PERIODS)
    days = [each.first_day for each in reversed(found)]
    # A country's figures come with its towns', whose load is one of the charts.
    chosen = Chosen(asked.town, asked.country, asked.category)
    figures = await published.figures(tx, asked.span, days, chosen)
    area = await _area(visit, asked)
    everywhere = say("console.figures.everywhere", language)
    said = {
        "town": str(asked.town or ""),
        "country": asked.country or "",
        "category": asked.category,
        "span": asked.span.value,
        "from": asked.since.isoformat() if asked.since else "",
        "until": asked.until.isoformat() if asked.until else "",
    }
    return await page(
        request,
        "figures",
        chosen=said,
        again=f"{FIGURES}?{urlencode(said)}",
        towns=[
            ("", everywhere),
            *((str(each.id), f"{each.name} ({each.country})") for each in _with(told, asked, area)),
        ],
        countries=[("", everywhere), *((code, country(code, language)) for code in _countries(told, asked))],
        categories=[(each, _kind(each, language)) for each in (ALL, *await competences.categories(tx))],
        spans=[(each.value, say(f"console.figures.{each.value}", language)) for each in Span],
        heading=f"{area} · {_kind(asked.category, language)}",
        reports=await _reports(visit, asked.town),
        charts=_Drawing(asked, days, figures, language).charts(),
    )


@router.get(f"{FIGURES}/report")
async def send_report(request: Request, visit: SignedIn) -> Response:
    """The monthly report of a town as PDF. Raises `NotFound` where the month was not published."""
    await visit.house.pace.take([Bucket(f"report:{visit.who.prefix}", _REPORTS), Bucket("reports", _REPORTS_OF_ALL)])
    month = _day(f"{request.query_params.get('month', '')}-01", "?month")
    found = await read_month(visit.tx, await town_asked(visit, request.query_params.get("town", "")), month or date.min)
    if found is None:
        raise NotFound
    # It works for a second or so: in a thread, and others are answered meanwhile.
    made = await to_thread(_paper, found, visit.language)
    name = f"relais-{found.town.id}-{found.month.first_day:%Y-%m}.pdf"
    return Response(made, 200, {"Content-Disposition": f'attachment; filename="{name}"'}, "application/pdf")


def period_words(first_day: date, span: Span, language: str) -> str:
    """A week by the day it begins on, or a month."""
    form = "LLLL y" if span is Span.MONTH else "d MMM y"
    return str(format_date(first_day, form, locale=locale_of(language)))


def number_words(value: float | None, language: str) -> str:
    """A figure; a dash where it was not told."""
    return "–" if value is None else str(format_decimal(value, locale=locale_of(language)))


def _paper(month: MonthOfATown, language: str) -> bytes:
    # What sets papers takes half a second and some memory: not before one is wanted.
    from evidence.writing import written  # noqa: PLC0415
    from web.reports import pdf  # noqa: PLC0415

    return pdf(written(month, language))


async def _reports(visit: Visit, town: int | None) -> list[tuple[str, str]]:
    """Where the newest reports of a town are, and of which month each is."""
    if town is None:
        return []
    months = await published.periods(visit.tx, Span.MONTH, None, None, None, _MONTHS)
    return [
        (f"{FIGURES}/report?town={town}&month={each.first_day:%Y-%m}", month_words(each.first_day, visit.language))
        for each in months
    ]


async def _asked(request: Request, visit: Visit, told: Sequence[ToldTown]) -> _Asked:
    """Raises `Invalid` for what is not known."""
    said = request.query_params
    town, code, category = said.get("town", ""), said.get("country", ""), said.get("category", _SHELTER)
    if category != ALL and category not in await competences.categories(visit.tx):
        raise Invalid.one("?category", "unknown_category")
    if code and code not in {each.country for each in told} | await towns.loaded_countries(visit.tx):
        raise Invalid.one("?country", "unknown_country")
    try:
        span = Span(said.get("span", Span.WEEK))
    except ValueError:
        raise Invalid.one("?span", "not_understood") from None
    return _Asked(
        town=await town_asked(visit, town) if town else None,
        # A town says more than the country that was chosen before it.
        country=None if town else code or None,
        category=category,
        span=span,
        since=_day(said.get("from", ""), "?from"),
        until=_day(said.get("until", ""), "?until"),
    )


async def town_asked(visit: Visit, written: str) -> int:
    """The town of a number in an address. Raises `Invalid`."""
    if not (written.isdecimal() and len(written) <= 9):
        raise Invalid.one("?town", "unknown_town")
    try:
        return (await towns.get(visit.tx, int(written))).id
    except NotFound:
        raise Invalid.one("?town", "unknown_town") from None


def _day(written: str, at: str) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError:
        raise Invalid.one(at, "not_understood") from None


async def _area(visit: Visit, asked: _Asked) -> str:
    if asked.town is not None:
        return (await towns.get(visit.tx, asked.town)).name
    if asked.country is not None:
        return country(asked.country, visit.language)
    return say("console.figures.network", visit.language)


def _with(told: Sequence[ToldTown], asked: _Asked, area: str) -> list[ToldTown]:
    """The towns to choose from; the one that is looked at is among them, though nothing was told of it."""
    if asked.town is None or any(each.id == asked.town for each in told):
        return list(told)
    return [ToldTown(asked.town, area, "–"), *told]


def _countries(told: Sequence[ToldTown], asked: _Asked) -> list[str]:
    return sorted({each.country for each in told} | ({asked.country} if asked.country else set()))


def _kind(category: str, language: str) -> str:
    return report_word("category.*", language) if category == ALL else category_words(category, language)


class _Drawing:
    """The charts of an area and a kind of help; those of which nothing was told are left out."""

    def __init__(self, asked: _Asked, days: Sequence[date], figures: Sequence[PublishedFigure], language: str) -> None:
        self._asked = asked
        self._days = days
        self._figures = figures
        self._language = language
        self._own = {(each.first_day, each.measure, each.part): each.value for each in figures if asked.is_of(each)}

    def charts(self) -> list[Chart]:
        """In the order of a story: how many, why not, how long, by whom, where, and passed on."""
        out = Measure.REFERRED_OUT
        drawn = (
            self._by_period("weeks", ((Measure.ASKED, ""), (Measure.SERVED, ""), (Measure.UNMET, ""))),
            self._parts("why", Measure.UNMET_FOR, "reason", None),
            self._by_period("nights", ((Measure.NIGHTS, ""),)),
            self._parts("waited", Measure.WAITED, "waited", WAITED),
            self._parts("hosts", Measure.SERVED_BY, "host", _HOSTS),
            self._load(),
            self._by_period("referred", ((out, ""), (out, "placed"), (Measure.REFERRED_IN, ""))),
        )
        return [each for each in drawn if each is not None]

    def _by_period(self, name: str, kinds: Sequence[tuple[Measure, str]]) -> Chart | None:
        rows = [Row(self._period(day), [self._own.get((day, *kind)) for kind in kinds]) for day in self._days]
        series = [self._say(f"kind.{measure.value}{'.' + part if part else ''}") for measure, part in kinds]
        return self._laid(name, self._say("when"), series, rows)

    def _parts(self, name: str, measure: Measure, words: str, order: Sequence[str] | None) -> Chart | None:
        """Of the newest week or month: parts of others cannot be added to it, for some are withheld."""
        newest = self._days[-1] if self._days else None
        told = {
            part: value for (day, kind, part), value in self._own.items() if (day, kind) == (newest, measure) and part
        }
        parts = order or sorted(told, key=lambda part: (-told[part], part))
        rows = [Row(report_word(f"{words}.{part}", self._language), [told[part]]) for part in parts if part in told]
        return self._laid(name, self._say(f"first.{words}"), [self._say("people")], rows, newest)

    def _load(self) -> Chart | None:
        """Towns by people served for each thousand inhabitants; of one town alone there is nothing to compare."""
        newest = self._days[-1] if self._days else None
        loads = {
            each.town: (f"{each.name} ({each.country})", each.per_thousand)
            for each in self._figures
            if each.first_day == newest and each.measure is Measure.SERVED and each.town and each.per_thousand
        }
        if self._asked.town is not None:
            return None
        most = sorted(loads.values(), key=lambda each: (-each[1], each[0]))[:_MOST_BARS]
        rows = [Row(name, [load]) for name, load in most]
        return self._laid("load", say("console.network.town", self._language), [self._say("people")], rows, newest)

    def _laid(
        self, name: str, first: str, series: Sequence[str], rows: Sequence[Row], newest: date | None = None
    ) -> Chart | None:
        title = self._say(f"chart.{name}")
        return laid_out(
            name,
            f"{title} · {self._period(newest)}" if newest else title,
            first,
            series,
            rows,
            told=self._number,
            rtl=self._language in RIGHT_TO_LEFT,
        )

    def _period(self, day: date) -> str:
        return period_words(day, self._asked.span, self._language)

    def _number(self, value: float | None) -> str:
        return number_words(value, self._language)

    def _say(self, key: str) -> str:
        return say(f"console.figures.{key}", self._language)
