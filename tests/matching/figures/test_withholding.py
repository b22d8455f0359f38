"""P7: nobody can be found in the figures. Everything that was published in a year is turned against them."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import chain
from multiprocessing import get_context
from os import cpu_count
from typing import TypeVar

import pytest

from matching.figures.calendar import month_of
from matching.figures.measures import Measure
from matching.figures.tables import Behind, Cell, Fact, Span, Table, table_of
from matching.figures.withholding import PROTECTION, published
from tests.matching.figures.differencing import Adversary
from tests.matching.figures.network import FIRST, facts_of

_CLOSE = 1e-4
T = TypeVar("T")
R = TypeVar("R")


def told(facts: list[Fact], processes: int = 1) -> tuple[Table, dict[Cell, int]]:
    """All that there is to know of these facts, and what is published of it: week by week, month by month."""
    by_month: defaultdict[date, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_month[month_of(fact.week)].append(fact)
    behind: dict[Cell, Behind] = {}
    cells: dict[Cell, int] = {}
    for table, shown in _each(_told_of_a_month, list(by_month.items()), processes):
        behind |= table
        cells |= {cell: table[cell].value for cell in shown}
    return Table(behind, []), cells


def _told_of_a_month(month_facts: tuple[date, list[Fact]]) -> tuple[dict[Cell, Behind], set[Cell]]:
    month, facts = month_facts
    weeks: defaultdict[date, list[Fact]] = defaultdict(list)
    for fact in facts:
        weeks[fact.week].append(fact)
    before: dict[Cell, bool] = {}
    for week in weeks.values():
        table = table_of(week)
        shown = published(table, {})
        before |= {cell: cell in shown for cell in table.cells}
    over = table_of(facts, month)
    return dict(over.cells), published(over, before)


def found_out(
    facts: list[Fact], table: Table, cells: dict[Cell, int], *, whole: bool = False, processes: int = 1
) -> list[Cell]:
    """Sensitive cells that can be placed more closely than they may, by all that was published."""
    sensitive = sorted(cell for cell, behind in table.cells.items() if behind.sensitive)
    shares = [
        _Attack(facts, cells, {each: table.cells[each].value for each in sensitive[n::processes]}, whole)
        for n in range(processes)
    ]
    return sorted(cell for found in _each(_attacked, shares, processes) for cell in found)


@dataclass(frozen=True)
class _Attack:
    facts: list[Fact]
    published: dict[Cell, int]
    sought: dict[Cell, int]
    whole: bool


def _attacked(attack: _Attack) -> list[Cell]:
    adversary = Adversary(attack.facts, attack.published, whole=attack.whole)
    found = []
    for cell, value in attack.sought.items():
        least, most = adversary.bounds(cell)
        assert least - _CLOSE <= value <= most + _CLOSE, "the adversary reckons wrongly"
        if most - least < PROTECTION - _CLOSE:
            found.append(cell)
    return found


def _each(act: Callable[[T], R], asked: list[T], processes: int) -> list[R]:
    """The answers, in order; thought about side by side where there are several processes."""
    if processes == 1:
        return [act(each) for each in asked]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(act, asked))


@pytest.fixture(scope="module")
def processes(*, long: bool) -> int:
    """How many think side by side."""
    return (cpu_count() or 1) if long else 1


@pytest.fixture(scope="module")
def year(*, long: bool) -> list[Fact]:
    """52 weeks of a network; in the short form a month of a small one."""
    if long:
        return facts_of(1, weeks=52, towns=3, parties=40, categories=2, reasons=2)
    return facts_of(1, weeks=4, towns=2, parties=40, categories=2, reasons=2, answers=2)


@pytest.fixture(scope="module")
def known(year: list[Fact], processes: int) -> tuple[Table, dict[Cell, int]]:
    """All that was counted, and what was published of it."""
    return told(year, processes)


def test_no_sensitive_cell_can_be_worked_out_of_all_weeks_and_months_together(
    year: list[Fact], known: tuple[Table, dict[Cell, int]], processes: int
) -> None:
    table, cells = known
    assert not any(table.cells[cell].sensitive for cell in cells)
    assert found_out(year, table, cells, processes=processes) == []
    assert {cell.span for cell in cells} == set(Span), "of either something is published"


def test_nor_by_who_knows_that_people_are_whole(year: list[Fact], known: tuple[Table, dict[Cell, int]]) -> None:
    table, cells = known
    month = min(cell.first_day for cell in table.cells if cell.span is Span.MONTH)
    early = [fact for fact in year if month_of(fact.week) == month]
    within = {cell for cell in table.cells if month in (cell.first_day, month_of(cell.first_day))}
    few = {cell: table.cells[cell] for cell in within if cell.category == "shelter" and cell.span is Span.MONTH}
    assert found_out(early, Table(few, []), {each: cells[each] for each in within & set(cells)}, whole=True) == []


def test_withholding_sensitive_cells_alone_would_give_most_of_them_away(
    year: list[Fact], known: tuple[Table, dict[Cell, int]], processes: int
) -> None:
    table, _ = known
    naive = {cell: behind.value for cell, behind in table.cells.items() if not behind.sensitive}
    sensitive = sum(behind.sensitive for behind in table.cells.values())
    assert len(found_out(year, table, naive, processes=processes)) > sensitive / 2


def test_a_good_part_of_what_is_safe_is_published(known: tuple[Table, dict[Cell, int]]) -> None:
    table, cells = known
    safe = [cell for cell, behind in table.cells.items() if not behind.sensitive]
    assert len(cells) > len(safe) / 4
    of_the_network = [cell for cell in safe if cell.area == "*" and cell.measure is Measure.ASKED]
    assert len([cell for cell in of_the_network if cell in cells]) > len(of_the_network) / 2


def asked(town: int, people: int, parties: int) -> list[Fact]:
    """What a town asked for and was given, in all the ways that it is counted."""
    ways = ((Measure.ASKED, ""), (Measure.SERVED, ""), (Measure.SERVED_BY, "association"), (Measure.WAITED, "5"))
    return [Fact(FIRST, town, "FR", "shelter", *way, people, people, parties) for way in ways]


def towns_told(*facts: list[Fact]) -> set[str]:
    """The areas of which it is told how many asked."""
    table = table_of(chain.from_iterable(facts))
    return {cell.area for cell in published(table, {}) if cell.measure is Measure.ASKED}


def test_the_only_small_town_is_not_told_by_the_difference_of_total_and_others() -> None:
    assert towns_told(asked(1, 40, 20), asked(2, 30, 20)) == {"1", "2", "FR", "*"}
    told_of = towns_told(asked(1, 40, 20), asked(2, 4, 2))
    assert "2" not in told_of
    assert {"1", "FR"} - told_of, "else their difference tells of town 2"


def referred(town: int, partner: int, people: int, parties: int) -> list[Fact]:
    """People of a town for whom another was asked."""
    return [
        Fact(FIRST, where, "FR", "shelter", measure, "placed", people, people, parties)
        for where, measure in ((town, Measure.REFERRED_OUT), (partner, Measure.REFERRED_IN))
    ]


def told_of_referrals(*facts: list[Fact]) -> set[tuple[str, str]]:
    table = table_of(chain.from_iterable(facts))
    return {(cell.area, cell.measure) for cell in published(table, {}) if cell.measure.startswith("referred")}


def test_few_who_are_passed_on_are_not_told_by_the_difference_of_the_towns_that_ask_and_are_asked() -> None:
    many = told_of_referrals(referred(1, 2, 40, 20), referred(2, 3, 30, 20))
    assert many >= {("1", "referred_out"), ("2", "referred_in"), ("3", "referred_in"), ("*", "referred_out")}
    few = told_of_referrals(referred(1, 2, 40, 20), referred(2, 3, 4, 2))
    assert not few & {("2", "referred_out"), ("3", "referred_in")}
    # Of 44 in the network: with the 40 of either side, and the network or the country of the other, it would be told.
    assert ("1", "referred_out") not in few or not few & {("*", "referred_out"), ("FR", "referred_out")}
    assert ("1", "referred_out") not in few or ("FR", "referred_in") not in few


def test_small_towns_hide_each_other() -> None:
    assert towns_told(asked(1, 40, 20), asked(2, 6, 3), asked(3, 7, 3)) == {"1", "FR", "*"}


def test_a_large_family_is_no_crowd() -> None:
    assert "1" not in towns_told(asked(1, 12, 1), asked(2, 40, 20))
    assert "1" in towns_told(asked(1, 12, 3), asked(2, 40, 20))


def test_what_was_published_stays_published_and_what_was_withheld_stays_withheld() -> None:
    week = table_of([*asked(1, 40, 20), *asked(2, 4, 2)])
    before = {cell: cell in published(week, {}) for cell in week.cells}
    month = date(2026, 1, 1)
    again = table_of([*asked(1, 40, 20), *asked(2, 4, 2)], month)
    assert {cell for cell in published(again, before) if cell.span is Span.WEEK} == {
        cell for cell, shown in before.items() if shown
    }
