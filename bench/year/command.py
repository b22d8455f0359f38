"""`python -m bench year`: a year of sixty towns with pacts and without, beside what the what-if foretold of it."""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.databases import own_database, servers
from bench.year.facts import Network, Parameters, network_of
from bench.year.foretelling import Foretold, foretell, sampled_weeks
from bench.year.load import gini, per_thousand
from bench.year.simulation import Lived, live
from matching.policy import FIRST_POLICY
from relais.silence import silent_libraries

__all__ = ["Year", "judged", "lived_year", "run"]

WITHIN: Final = 0.05
"""How far what was foretold may be off, of the fall."""
EVERY: Final = 4
"""Of the weeks, every fourth is a sample."""
_SUMMER_WEEK: Final = 29
"""The week that is lived through the database too: many are without a place in it."""


@dataclass(frozen=True, slots=True)
class Year:
    """Both years, and what was foretold of the difference."""

    network: Network
    without: Lived
    with_pacts: Lived
    foretold: Foretold

    @property
    def fall(self) -> int:
        """People who are not without a place any more."""
        return self.without.unmet_people - self.with_pacts.unmet_people

    @property
    def foretold_fall(self) -> float:
        """The part that the what-if foretold, of the people who are without a place when there are no pacts."""
        return self.without.unmet_people * (1 - self.foretold.share_left)

    @property
    def off_by(self) -> float:
        """What was foretold less what came, as a part of what came; nought where nothing came of either."""
        return (self.foretold_fall - self.fall) / self.fall if self.fall else float(self.foretold_fall > 0)

    @property
    def ginis(self) -> tuple[float, float]:
        """Of nights of people for each thousand inhabitants, without pacts and with them."""
        return gini(per_thousand(self.network, self.without.load)), gini(
            per_thousand(self.network, self.with_pacts.load)
        )


def lived_year(network: Network, every: int = EVERY, tell: Callable[[str], None] = lambda _told: None) -> Year:
    """Foretell the year, then live it twice."""
    evenings = range(network.parameters.evenings)
    tell("Asking the what-if about some weeks…")
    foretold = foretell(network, FIRST_POLICY, sampled_weeks(len(evenings), every))
    tell("Living the year without pacts…")
    without = live(network, (), FIRST_POLICY, evenings)
    tell("Living it with pacts…")
    return Year(network, without, live(network, network.passages, FIRST_POLICY, evenings), foretold)


def judged(year: Year) -> list[tuple[str, bool]]:
    """What must hold, and whether it does."""
    before, after = year.ginis
    return [
        (f"the fall is what was foretold, within {WITHIN:.0%}", year.fall > 0 and abs(year.off_by) <= WITHIN),
        ("the Gini coefficient of load per inhabitant falls", after < before),
    ]


def run(arguments: Sequence[str]) -> bool:
    """Do as the command line says. Whether all that is judged holds."""
    parser = argparse.ArgumentParser(prog="python -m bench year", description=__doc__)
    parser.add_argument("--seed", type=int, default=Parameters().seed)
    parser.add_argument("--evenings", type=int, default=Parameters().evenings, help="28 at least")
    parser.add_argument("--plot", type=Path, default=Path(".relais/bench/year.png"), help="where the picture goes")
    parser.add_argument(
        "--through-the-database", type=int, default=1, metavar="WEEKS",
        help="weeks that are lived through the API, the worker and the tables too; 0 for none",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    console = Console(width=120)
    with console.status("Choosing sixty towns…") as status, silent_libraries():
        from bench.year.towns import chosen_towns  # noqa: PLC0415 - the gazetteer takes seconds to load

        network = network_of(chosen_towns(), Parameters(seed=asked.seed, evenings=asked.evenings))
        year = lived_year(network, tell=status.update)
    _print(console, year)
    _draw(year, asked.plot)
    console.print(f"The picture is in {asked.plot}.")
    verdicts = judged(year)
    if asked.through_the_database:
        verdicts += _through(console, network, asked.through_the_database)
    for what, holds in verdicts:
        console.print(f"{'[green]reached[/]' if holds else '[red]missed[/]'}: {what}")
    return all(holds for _, holds in verdicts)


def _print(console: Console, year: Year) -> None:
    given = year.network.parameters
    title = f"{len(year.network.towns)} towns, {given.evenings} evenings, seed {given.seed}"
    table = Table("people", "without pacts", "with pacts", "difference", title=title, title_justify="left")
    for name, before, after in (
        ("ask for a bed", year.without.asked.total(), year.with_pacts.asked.total()),
        ("find one where they ask", year.without.at_home.total(), year.with_pacts.at_home.total()),
        ("find one in a partner town", 0, year.with_pacts.passed_on.total()),
        ("stay without", year.without.unmet_people, year.with_pacts.unmet_people),
        ("kilometres, of all who have one", year.without.km, year.with_pacts.km),
    ):
        table.add_row(name, f"{before:,}", f"{after:,}", f"{after - before:+,}" if after != before else "")
    ginis = year.ginis
    table.add_row(
        "Gini of nights for each inhabitant", *(f"{each:.4f}" for each in ginis), f"{ginis[1] - ginis[0]:+.4f}"
    )
    console.print(table)
    answers = ", ".join(f"{count:,} {what}" for what, count in year.with_pacts.answers.most_common())
    console.print(f"Parties referred: {answers}")
    _print_foretold(console, year)


def _print_foretold(console: Console, year: Year) -> None:
    told = year.foretold
    table = Table(
        f"in {len(told.weeks)} weeks", "without pacts", "with pacts",
        title="What the what-if foretold", title_justify="left",
    )  # fmt: skip
    table.add_row("people who stay without", f"{told.unmet.total():,}", f"{told.unmet_with_pacts.total():,}")
    table.add_section()
    table.add_row("with the week before each:", "", "")
    table.add_row("passed on to a partner town", "0", f"{told.referred:,}")
    table.add_row("kilometres", f"{told.km:,}", f"{told.km_with_pacts:,}")
    for rule, people in told.without.most_common():
        table.add_row(f"  without, at home: {rule}", "", f"{people:,}")
    for rule, people in told.no_partner.most_common():
        table.add_row(f"  without, no partner: {rule}", "", f"{people:,}")
    console.print(table)
    console.print(
        f"Foretold for the year: {year.foretold_fall:,.0f} people fewer ({1 - told.share_left:.1%} of those without a "
        f"place). It came to {year.fall:,} ({year.fall / max(year.without.unmet_people, 1):.1%}): "
        f"off by {year.off_by:+.1%} of it."
    )


def _draw(year: Year, path: Path) -> None:
    from bench.year.plot import draw  # noqa: PLC0415 - it takes a second to load

    path.parent.mkdir(parents=True, exist_ok=True)
    draw(year.network, year.without, year.with_pacts, year.foretold, path)


def _through(console: Console, network: Network, weeks: int) -> list[tuple[str, bool]]:
    from bench.year.database import POLICY, coming_monday, live_through  # noqa: PLC0415 - it needs servers

    first = coming_monday(datetime.now(UTC).date()) - timedelta(weeks=_SUMMER_WEEK)
    here = network_of(network.towns, replace(network.parameters, first=first))
    evenings = range(7 * _SUMMER_WEEK, 7 * (_SUMMER_WEEK + weeks))

    async def both() -> tuple[Lived, Lived]:
        with servers() as where:
            async with own_database(where) as settings:
                served, ties = await live_through(settings, here, here.pacts, evenings)
        return served, live(here, here.passages, POLICY, evenings, ties)

    with console.status(f"Living {weeks} week(s) through the database…"), silent_libraries():
        served, simulated = asyncio.run(both())
    table = Table("people", "the service", "the simulation", title="Through the database", title_justify="left")
    for name, one, other in (
        ("ask for a bed", served.asked, simulated.asked),
        ("find one where they ask", served.at_home, simulated.at_home),
        ("find one in a partner town", served.passed_on, simulated.passed_on),
        ("stay without", served.unmet, simulated.unmet),
    ):
        table.add_row(name, f"{one.total():,}", f"{other.total():,}")
    console.print(table)
    return [("the service and the simulation agree, town by town and kilometre by kilometre", served == simulated)]
