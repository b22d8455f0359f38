"""A month of a town, written out in a language: numbers, dates and sentences as its readers expect them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import cos, radians
from typing import Final

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from evidence.facts import SHELTER, MonthOfATown, Neighbour
from matching.competence import Duty
from matching.figures.calendar import first_day_of, last_day_of
from matching.figures.measures import WAITED, Measure
from matching.figures.tables import ALL
from matching.vocabulary import RATINGS
from web.report_words import report_word
from web.reports import MAP_SHAPE, Bar, CategoryLine, Number, Report, TownMark, WeekLine

__all__ = ["written"]

_HEADLINES: Final = (Measure.ASKED, Measure.SERVED, Measure.UNMET)
_MIDDLE: Final = 0.5


def written(month: MonthOfATown, language: str) -> Report:
    """The report of a month, to be made a paper of."""
    return _Writer(month, language).report()


class _Writer:
    def __init__(self, month: MonthOfATown, language: str) -> None:
        self._month = month
        self._language = language

    def report(self) -> Report:
        """Everything that it says."""
        month, first = self._month, self._month.month.first_day
        return Report(
            language=self._language,
            place=month.town.name,
            country=str(Locale(self._language).territories.get(month.town.country, month.town.country)),
            month=format_date(first, "LLLL yyyy", locale=self._language),
            period=self._say(
                "period",
                first=self._day(first_day_of(first, month=True)),
                last=self._day(last_day_of(first, month=True)),
            ),
            numbers=[
                Number(each.value, self._say(each.value), self._count(month.value(each, SHELTER)))
                for each in _HEADLINES
            ],
            lead=self._lead(),
            categories=self._categories(),
            weeks=self._weeks(),
            why=self._bars(month.parts(Measure.UNMET_FOR, SHELTER), "reason"),
            waited=self._bars(_in_order(month.parts(Measure.WAITED, SHELTER), WAITED), "waited"),
            hosts=self._bars(month.parts(Measure.SERVED_BY, SHELTER), "host"),
            said=[
                Bar("★" * int(mark), value, self._count(value) or "")
                for mark, value in _in_order(
                    month.parts(Measure.RATED, SHELTER), [each[-1] for each in RATINGS]
                ).items()
            ],
            towns=_marks(month.neighbours, month.town.id, self._decimal),
            method=[
                *(self._say(f"method.{each}") for each in ("whom", "when", "safe", "limits")),
                self._say(
                    "method.versions",
                    policy=str(month.month.policy_version),
                    competence=str(month.month.competence_version),
                ),
            ],
        )

    def _lead(self) -> list[str]:
        """In plain words: how many asked, found, did not; whose duty it was, and why."""
        sentences = []
        for measure in _HEADLINES:
            told = self._count(self._month.value(measure, SHELTER))
            key = f"lead.{measure.value}"
            sentences.append(self._say(f"{key}.untold") if told is None else self._say(key, n=told))
        duty = self._month.competence.of(self._month.town.country, SHELTER)
        facts = {} if duty.duty is Duty.UNKNOWN else {"basis": duty.basis}
        sentences.append(self._say(f"lead.duty.{duty.duty.value}", **facts))
        if reasons := self._month.parts(Measure.UNMET_FOR, SHELTER):
            sentences.append(self._say("lead.why", reason=self._say(f"reason.{next(iter(reasons))}")))
        return sentences

    def _categories(self) -> list[CategoryLine]:
        names = {each.category for each in self._month.figures if each.measure in _HEADLINES}
        lines = []
        for name in sorted(names, key=lambda each: (each != SHELTER, each == ALL, each)):
            asked, served, unmet = (self._count(self._month.value(measure, name)) for measure in _HEADLINES)
            duty = "" if name == ALL else self._say(f"duty.{self._duty(name).value}")
            lines.append(CategoryLine(self._say(f"category.{name}"), asked, served, unmet, duty))
        return lines

    def _duty(self, category: str) -> Duty:
        return self._month.competence.of(self._month.town.country, category).duty

    def _weeks(self) -> list[WeekLine]:
        told = {(each.first_day, each.measure): each.value for each in self._month.by_week if not each.part}
        lines = []
        for week in self._month.weeks:
            served, unmet = (told.get((week.first_day, each)) for each in (Measure.SERVED, Measure.UNMET))
            label = format_date(week.first_day, "d MMM", locale=self._language)
            lines.append(WeekLine(label, served, unmet, self._count(served) or "", self._count(unmet) or ""))
        return lines

    def _bars(self, parts: Mapping[str, int], words: str) -> list[Bar]:
        return [Bar(self._say(f"{words}.{part}"), value, self._count(value) or "") for part, value in parts.items()]

    def _say(self, key: str, **facts: str) -> str:
        return report_word(key, self._language, **facts)

    def _count(self, value: int | None) -> str | None:
        return None if value is None else str(format_decimal(value, locale=self._language))

    def _decimal(self, value: float) -> str:
        return str(format_decimal(value, format="#,##0.#", locale=self._language))

    def _day(self, day: date) -> str:
        return str(format_date(day, "d MMMM yyyy", locale=self._language))


def _in_order(parts: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    return {part: parts[part] for part in order if part in parts}


def _marks(neighbours: Sequence[Neighbour], here: int, written: Callable[[float], str]) -> list[TownMark]:
    """Towns where they lie, nearest first, in proportion, around the middle of the map."""
    if not neighbours:
        return []
    shrink = cos(radians(neighbours[0].town.point.latitude))
    across = [each.town.point.longitude * shrink for each in neighbours]
    down = [-each.town.point.latitude for each in neighbours]
    height = max((max(across) - min(across)) / MAP_SHAPE, max(down) - min(down)) or 1.0
    return [
        TownMark(
            name=each.town.name,
            x=_MIDDLE + (x - (min(across) + max(across)) / 2) / (height * MAP_SHAPE),
            y=_MIDDLE + (y - (min(down) + max(down)) / 2) / height,
            value=each.per_thousand,
            told=written(each.per_thousand),
            here=each.town.id == here,
        )
        for each, x, y in zip(neighbours, across, down, strict=True)
    ]
