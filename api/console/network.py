"""The network on a page: a table of towns, beside which a map of the same can be opened (`api.console.map`).

It shows what the same key reads elsewhere, and no more: parties of its own that have no place, places of the offers
that it lists, by cell, and of everything else what was published, where nobody can be found. Of other organizations'
needs there is nothing, not even a number: in a small town a number is a family.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from babel.dates import format_date
from babel.numbers import format_decimal
from fastapi import APIRouter, Request, Response

from api.console.pages import NETWORK, page
from api.console.visits import ConsoleRoute, ReadsNetwork, Visit
from api.moments import country, locale_of
from api.offers import seen_towns
from api.wording import knows, say
from db import boards, competences, coverage, published, towns
from db.boards import Without
from db.coverage import InTown
from db.keys import Scope
from db.published import Chosen
from db.towns import TownFacts
from geo.distance import kilometres_between
from matching.figures.measures import Measure
from matching.figures.tables import Span
from matching.refusals import Invalid
from web.files import OF_THE_MAP, is_installed

__all__ = ["Network", "TownLine", "asked_category", "category_words", "month_words", "read_network", "router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_SHELTER: Final = "shelter"
_MOST: Final = 300
_NOTHING: Final = "–"


@dataclass(slots=True)
class TownLine:
    """What there is to tell of a town; `per_thousand` and `unmet` are public figures, `None` where none was told."""

    town: TownFacts
    without: Without | None = None
    cells: list[InTown] = field(default_factory=list)
    per_thousand: float | None = None
    unmet: int | None = None

    @property
    def free(self) -> int:
        """Places that nobody has tonight, of the offers that the key lists."""
        return sum(each.free for each in self.cells)

    @property
    def capacity(self) -> int:
        """All places tonight of these offers."""
        return sum(each.capacity for each in self.cells)


@dataclass(frozen=True, slots=True)
class Network:
    """The towns that there is something to tell of, and of which month the public figures are."""

    lines: Sequence[TownLine]
    month: date | None
    cut: bool
    """Whether there are more towns than are told of."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table, in words."""

    id: int
    name: str
    country: str
    without: str
    free: str
    cells: Sequence[str]
    per_thousand: str
    unmet: str


@router.get(NETWORK)
async def show_network(request: Request, visit: ReadsNetwork) -> Response:
    """Towns with what is asked, free and told there."""
    category = await asked_category(request, visit)
    found = await read_network(visit, category)
    language, scopes = visit.language, visit.who.scopes
    return await page(
        request,
        "network",
        again=f"{NETWORK}?for={category}",
        category=category,
        categories=[(each, category_words(each, language)) for each in await competences.categories(visit.tx)],
        rows=[_row(each, language) for each in found.lines],
        reads_needs=Scope.NEEDS_READ in scopes,
        reads_offers=Scope.OFFERS_READ in scopes,
        month=month_words(found.month, language) if found.month else None,
        cut=_MOST if found.cut else None,
        map_is_here=is_installed(OF_THE_MAP),
        base_is_here=visit.house.settings.basemap_file is not None,
    )


async def asked_category(request: Request, visit: Visit) -> str:
    """The kind of help that is looked at; a place to sleep where nothing is said. Raises `Invalid`."""
    category = request.query_params.get("for", _SHELTER)
    if category not in await competences.categories(visit.tx):
        raise Invalid.one("?for", "unknown_category")
    return category


async def read_network(visit: Visit, category: str) -> Network:
    """All that the session's key may see of one kind of help, town by town."""
    who, own = visit.who, visit.who.organization_id
    without, per_town = {}, defaultdict(list)
    if Scope.NEEDS_READ in who.scopes:
        without = await boards.without_a_place(visit.tx, own, category)
    if Scope.OFFERS_READ in who.scopes:
        for each in await coverage.by_town(visit.tx, own, seen_towns(who), category):
            per_town[each.town].append(each)
    month, served, unmet = await _told(visit, category)
    facts = await towns.several(visit.tx, {*who.towns, *without, *per_town, *served, *unmet})
    lines = [
        TownLine(town, without.get(town.id), per_town.get(town.id, []), served.get(town.id), unmet.get(town.id))
        for town in facts.values()
    ]
    # Where people wait comes first; then one's own towns and places, then what all may read.
    lines.sort(
        key=lambda line: (
            -(line.without.people if line.without else 0),
            line.town.id not in who.towns,
            not line.cells,
            line.town.name,
            line.town.id,
        )
    )
    return Network(lines[:_MOST], month, len(lines) > _MOST)


async def _told(visit: Visit, category: str) -> tuple[date | None, dict[int, float], dict[int, int]]:
    """The newest month that was published: those who were served for each thousand inhabitants, and the unmet."""
    months = await published.periods(visit.tx, Span.MONTH, None, None, None, 1)
    if not months:
        return None, {}, {}
    month = months[0].first_day
    figures = await published.figures(visit.tx, Span.MONTH, [month], Chosen(category=category))
    of_towns = [(each.town, each) for each in figures if each.town is not None and not each.part]
    served = {
        town: each.per_thousand
        for town, each in of_towns
        if each.measure is Measure.SERVED and each.per_thousand is not None
    }
    return month, served, {town: each.value for town, each in of_towns if each.measure is Measure.UNMET}


def category_words(code: str, language: str) -> str:
    """What a kind of help is called; its code where an operator added it."""
    key = f"slip.category.{code}"
    return say(key, language) if knows(key) else code


def month_words(month: date, language: str) -> str:
    """A month with its year."""
    return str(format_date(month, "LLLL y", locale=locale_of(language)))


def _row(line: TownLine, language: str) -> _Row:
    town, locale = line.town, locale_of(language)
    return _Row(
        id=town.id,
        name=town.name,
        country=country(town.country, language),
        without=say("slip.people", language, count=line.without.people) if line.without else _NOTHING,
        free=_of(line.free, line.capacity, language) if line.cells else _NOTHING,
        cells=[
            say(
                "console.network.cell",
                language,
                km=kilometres_between(town.cell, each.cell),
                free=_of(each.free, each.capacity, language),
            )
            for each in line.cells
        ],
        per_thousand=_NOTHING if line.per_thousand is None else format_decimal(line.per_thousand, locale=locale),
        unmet=_NOTHING if line.unmet is None else format_decimal(line.unmet, locale=locale),
    )


def _of(free: int, capacity: int, language: str) -> str:
    return say("console.network.free.of", language, free=free, capacity=capacity)
