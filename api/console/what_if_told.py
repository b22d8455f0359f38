"""What so many more places could have meant at most, or what so many fewer hold, from published figures and no others.

Anybody with a session reads the same figures on their own page; what is reckoned from them tells nothing new. A week
that was not told stays untold: it counts neither as nought nor as anything.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from api.console.figures import number_words, period_words
from api.console.visits import Visit
from api.console.what_if_asked import Question
from api.moments import country
from api.slip import RIGHT_TO_LEFT
from api.wording import say
from db import published, towns
from db.published import Chosen, PublishedFigure
from db.towns import TownFacts
from geo.distance import kilometres_between
from matching.figures.measures import Measure
from matching.figures.more_places import days_of, limits, reckoned
from web.charts import Chart, Row, laid_out
from web.report_words import report_word

__all__ = ["COLUMNS", "AsTold", "TownTold", "as_told"]

_PERIODS: Final = 8
_MOST_TOWNS: Final = 25
COLUMNS: Final = (Measure.ASKED, Measure.SERVED, Measure.UNMET, Measure.NIGHTS)


@dataclass(frozen=True, slots=True)
class TownTold:
    """A town within reach: what was told of it in the newest week or month, in words; a dash where nothing was."""

    name: str
    country: str
    km: int
    values: Sequence[str]
    why: str


@dataclass(frozen=True, slots=True)
class AsTold:
    """What is said: numbers with their names, a chart, and the towns of the newest week or month under a `caption`."""

    heading: str
    facts: Sequence[tuple[str, str]]
    chart: Chart | None
    caption: str
    towns: Sequence[TownTold]
    cut: int | None
    """How many of the nearest towns are looked at, where there are more."""


async def as_told(visit: Visit, asked: Question, town: TownFacts) -> AsTold:
    """Read and reckon it for the towns within reach of this one."""
    tx = visit.tx
    country_alone = None if asked.abroad else town.country
    near = await published.towns_told_around(tx, town.cell, asked.km, country_alone, _MOST_TOWNS + 1)
    facts = await towns.several(tx, near[:_MOST_TOWNS])
    periods = await published.periods(tx, asked.span, None, None, None, _PERIODS)
    days = [each.first_day for each in reversed(periods)]
    chosen = Chosen(category=asked.category, towns=list(facts), measures=(*COLUMNS, Measure.UNMET_FOR))
    figures = await published.figures(tx, asked.span, days, chosen)
    return _Saying(asked, town, days, figures, visit.language).said(
        [facts[number] for number in near if number in facts], cut=len(near) > _MOST_TOWNS
    )


class _Saying:
    """The figures of some towns, put in words for one question."""

    def __init__(
        self, asked: Question, town: TownFacts, days: Sequence[date], figures: Sequence[PublishedFigure], language: str
    ) -> None:
        self._asked, self._town, self._days, self._language = asked, town, days, language
        self._by_town: dict[tuple[int | None, date], dict[tuple[Measure, str], int]] = defaultdict(dict)
        self._by_day: dict[Measure, dict[date, list[int]]] = defaultdict(lambda: defaultdict(list))
        for each in figures:
            self._by_town[each.town, each.first_day][each.measure, each.part] = each.value
            if not each.part:
                self._by_day[each.measure][each.first_day].append(each.value)

    def said(self, near: Sequence[TownFacts], *, cut: bool) -> AsTold:
        """All of it."""
        heading = self._within("around", town=self._town.name, km=self._asked.km)
        facts, chart = self._fewer(len(near)) if self._asked.fewer else self._more(len(near))
        newest = self._days[-1] if self._days else None
        return AsTold(
            heading=heading,
            facts=facts,
            chart=chart,
            caption=self._within("table", period=self._period(newest)) if newest else "",
            towns=[self._line(each, newest) for each in near] if newest else [],
            cut=_MOST_TOWNS if cut else None,
        )

    def _more(self, near: int) -> tuple[list[tuple[str, str]], Chart | None]:
        """How many of those who were left without could have been taken in, at most."""
        found = limits(self._by_day[Measure.UNMET], self._asked.places, self._asked.span)
        if not found:
            return [], None
        by_day = {each.first_day: each for each in found}
        rows = [
            Row(self._row(day, each.towns if each else 0, near), [each.people, each.at_most] if each else [None, None])
            for day in self._days
            for each in (by_day.get(day),)
        ]
        together = reckoned(found)
        facts = [
            (self._say(f"told.{self._asked.span}"), self._say("of", count=together.told, all=len(self._days))),
            (self._say("without"), self._number(together.people)),
            (self._say("most"), self._number(together.at_most)),
            *self._product(),
        ]
        series = [say("console.figures.kind.unmet", self._language), self._say("kind.most")]
        return facts, self._laid("most", series, rows)

    def _fewer(self, near: int) -> tuple[list[tuple[str, str]], Chart | None]:
        """What was given, beside what so many come to: more cannot be said of them."""
        nights = self._asked.by_night
        given = self._by_day[Measure.NIGHTS if nights else Measure.SERVED]
        if not given:
            return [], None
        rows = [
            Row(self._row(day, len(told), near), [sum(told) if told else None, self._held(day)])
            for day in self._days
            for told in (given.get(day, []),)
        ]
        first = say(f"console.figures.kind.{'nights' if nights else 'served'}", self._language)
        facts = [
            (self._say(f"told.{self._asked.span}"), self._say("of", count=len(given), all=len(self._days))),
            *self._product(),
        ]
        return facts, self._laid("fewer", [first, self._say("kind.fewer")], rows)

    def _product(self) -> list[tuple[str, str]]:
        """The arithmetic of the newest week or month."""
        newest = self._days[-1]
        days, held = days_of(newest, self._asked.span), self._number(self._held(newest))
        return [(self._say("reckoned"), self._say("product", places=self._asked.places, days=days, held=held))]

    def _held(self, first_day: date) -> int:
        return self._asked.places * days_of(first_day, self._asked.span)

    def _row(self, day: date, told: int, near: int) -> str:
        """A week or month; where there are several towns, of how many of them it was told."""
        name = self._period(day)
        return f"{name} · {self._say('towns', count=told, all=near)}" if near > 1 else name

    def _period(self, day: date) -> str:
        return period_words(day, self._asked.span, self._language)

    def _within(self, key: str, **facts: str | int) -> str:
        """Of towns within reach: where a border ends it, that is said."""
        return self._say(key if self._asked.abroad else f"{key}.home", **facts)

    def _line(self, town: TownFacts, newest: date) -> TownTold:
        told = self._by_town[town.id, newest]
        reasons = {part: value for (measure, part), value in told.items() if measure is Measure.UNMET_FOR}
        most = min(reasons, key=lambda part: (-reasons[part], part), default=None)
        return TownTold(
            name=town.name,
            country=country(town.country, self._language),
            km=kilometres_between(self._town.cell, town.cell),
            values=[self._number(told.get((measure, ""))) for measure in COLUMNS],
            why=self._number(None)
            if most is None
            else f"{report_word(f'reason.{most}', self._language)}: {self._number(reasons[most])}",
        )

    def _laid(self, name: str, series: Sequence[str], rows: Sequence[Row]) -> Chart | None:
        return laid_out(
            name,
            self._say(f"chart.{name}"),
            say("console.figures.when", self._language),
            series,
            rows,
            told=self._number,
            rtl=self._language in RIGHT_TO_LEFT,
        )

    def _number(self, value: float | None) -> str:
        return number_words(value, self._language)

    def _say(self, key: str, **facts: str | int) -> str:
        return say(f"console.whatif.{key}", self._language, **facts)
