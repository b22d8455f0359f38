"""`relais whatif`: the nights ahead as they are and as they would be, if sites, pledges or arrivals were others.

It reads the running house in a transaction that can write nothing, and thinks beside it: nobody is moved.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import perf_counter
from typing import Annotated, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import pictures, towns
from db.connection import snapshot
from db.settings import Settings
from db.towns import TownFacts
from matching.pictures import Picture
from matching.prospects import Prospect, Think, look_ahead
from matching.referring import RULES as PACT_RULES
from matching.refusals import NotFound
from matching.rules import RULES
from relais import change_file
from relais.asking import with_engine
from relais.change_file import Arrivals, ChangeFile, NewPact, NewPledge, WrongChange
from relais.changes import Setting, changed
from relais.silence import silent_libraries

__all__ = ["whatif"]

_MOST_NEEDS = 10_000
_SO_MANY_IN = re.compile(r"([1-9][0-9]{0,3})@([1-9][0-9]{0,9})")
_BETWEEN = re.compile(r"([1-9][0-9]{0,3})@([1-9][0-9]{0,9}):([1-9][0-9]{0,9})")
_WATCH_RADIUS_KM, _WATCH_WEEKLY = 20, 7
_WHY = {
    "category": "nobody offers beds",
    "distance": "all too far",
    "border": "only over a border that they did not consent to",
    "audience": "reserved for others, or without the protection they need",
    "access": "without what they require",
    "language": "without an interpreter",
    "vetting": "homes that nobody has visited",
    "stale": "not confirmed for weeks",
    "paused": "paused",
    "party_size": "too small for a party of their size",
    "stay_length": "for shorter stays",
    "refused_before": "turned down before",
    "window": "not open on all of their nights",
    "capacity": "full",
    "staffing": "room, but no volunteers",
}
_NO_PARTNER = {
    "none": "no partner town",
    "chain": "passed on twice already",
    "category": "pacts for other help",
    "border": "no pact over the border",
    "consent": "no consent to its country",
    "distance": "partners too far",
    "tried": "all partners were tried",
    "week": "the week is full",
    "free": "nothing free there",
}


def whatif(
    file: Annotated[Path | None, typer.Argument(help="Changes, as docs/whatif.md defines them.")] = None,
    *,
    close: Annotated[list[str] | None, typer.Option(help="A site that closes, by name or id.")] = None,
    arrivals: Annotated[
        list[str] | None, typer.Option(help="People who come tonight: 40@3030142 (a town's id).")
    ] = None,
    volunteers: Annotated[
        list[str] | None, typer.Option(help="Night watches more, every night, 20 km around: 4@3030142.")
    ] = None,
    without_pledge: Annotated[list[UUID] | None, typer.Option(help="A pledge that ends, by id.")] = None,
    pact: Annotated[
        list[str] | None,
        typer.Option(help="A pact within a country: people a week from a town to another, 10@3030142:3016702."),
    ] = None,
    without_pact: Annotated[list[UUID] | None, typer.Option(help="A pact that ends, by id.")] = None,
    nights: Annotated[int, typer.Option(min=1, max=60, help="How many nights ahead.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.1, max=600.0, help="To think about each step.")] = 2.0,
    plot: Annotated[
        Path | None, typer.Option(help="A picture (PNG): night by night, and why people stay without.")
    ] = None,
) -> None:
    """Show what would change in the nights ahead. Nothing is written and nobody is moved."""
    try:
        changes = change_file.read(file) if file else ChangeFile()
        changes.close += close or []
        changes.without_pledges += without_pledge or []
        changes.without_pacts += without_pact or []
        changes.pacts += [_pact(each) for each in pact or []]
        changes.arrivals += [_arrivals(each) for each in arrivals or []]
        watches = [_so_many(each, "--volunteers") for each in volunteers or []]
        asked = [site.town for site in changes.sites]
        asked += [pledge.town for pledge in changes.pledges] + [group.town for group in changes.arrivals]
        asked += [town for each in changes.pacts for town in (each.town, each.partner)]
        if changes == ChangeFile() and not watches:
            _end(
                "Nothing would change: give a file, --close, --arrivals, --volunteers, --without-pledge, --pact or "
                "--without-pact."
            )
        facts = _read(nights, [*asked, *(town for _, town in watches)])
        changes.pledges += [_watches(people, town, facts, nights) for people, town in watches]
        after = changed(facts.picture, changes, facts.setting)
    except WrongChange as wrong:
        _end(str(wrong))
    was, would = _think([facts.picture, after], seconds)
    _print(Console(), was, would, nights)
    if plot is not None:
        from relais.whatif_plot import draw  # noqa: PLC0415 - it takes a second to load

        draw(was, would, _WHY, plot)
        typer.echo(f"The picture is in {plot}.", err=True)


def _end(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(2)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read of the running house."""

    picture: Picture
    setting: Setting


def _read(nights: int, asked: Sequence[int]) -> _Facts:
    async def read(engine: AsyncEngine, _: Settings) -> _Facts:
        async with snapshot(engine) as tx:
            picture = await pictures.read_picture(tx, nights, _MOST_NEEDS)
            sites, coverages = await pictures.read_sites(tx), await pictures.read_coverages(tx)
            return _Facts(picture, Setting(sites, await _towns(tx, asked), coverages))

    return with_engine(read)


async def _towns(tx: AsyncConnection, asked: Sequence[int]) -> dict[int, TownFacts]:
    found = {}
    for town_id in sorted(set(asked)):
        try:
            found[town_id] = await towns.get(tx, town_id)
        except NotFound:
            continue
    return found


def _so_many(written: str, option: str) -> tuple[int, int]:
    form = _SO_MANY_IN.fullmatch(written)
    if form is None:
        raise WrongChange(f"{option} {written}: expected a number of people, @ and a town's id, as in 40@3030142.")
    return int(form[1]), int(form[2])


def _arrivals(written: str) -> Arrivals:
    people, town = _so_many(written, "--arrivals")
    return Arrivals(people=people, town=town)


def _pact(written: str) -> NewPact:
    form = _BETWEEN.fullmatch(written)
    if form is None:
        raise WrongChange(f"--pact {written}: expected people a week, @, a town's id, a colon and its partner's.")
    return NewPact(to_partner_per_week=int(form[1]), town=int(form[2]), partner=int(form[3]))


def _watches(people: int, town: int, facts: _Facts, nights: int) -> NewPledge:
    known = facts.setting.towns.get(town)
    if known is None:
        raise WrongChange(f"--volunteers {people}@{town}: no town {town} is loaded.")
    today = datetime.now(UTC).astimezone(ZoneInfo(known.timezone)).date()
    return NewPledge.model_validate(
        {
            "skill": "night_watch",
            "headcount": min(people, 1000),
            "town": town,
            "radius_km": _WATCH_RADIUS_KM,
            # The night in course began yesterday where it is after midnight.
            "first_day": today - timedelta(days=1),
            "last_day": today + timedelta(days=nights),
            "from": time(16),
            "until": time(12),
            "shifts_per_week_max": _WATCH_WEEKLY,
        }
    )


def _think(both: Sequence[Picture], seconds: float) -> list[Prospect]:
    # No other command is to wait until the engine is loaded.
    from matching.engine.solve import solve, warm  # noqa: PLC0415
    from matching.staffing_territories import best_staffing  # noqa: PLC0415

    think = Think(
        rounds=lambda problem: solve(problem, clock=perf_counter, deadline=perf_counter() + seconds, seed=0),
        shifts=lambda region: best_staffing(region, clock=perf_counter, deadline=perf_counter() + seconds),
    )
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("Looking at the nights ahead"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("", total=None)
        with silent_libraries():
            warm()
            return [look_ahead(picture, think) for picture in both]


def _print(console: Console, was: Prospect, would: Prospect, nights: int) -> None:
    table = Table("", title=f"The next {nights} nights, in people", title_justify="left")
    for column in ("as it is", "as it would be", "difference"):
        table.add_column(column, justify="right")

    def row(name: str, before: int, after: int) -> None:
        table.add_row(name, str(before), str(after), f"{after - before:+d}" if after != before else "")

    row("ask for a bed", was.asked, would.asked)
    row("have one", was.placed, would.placed)
    for tier, name in enumerate(("vital", "high", "normal")):
        row(f"  {name}", was.served[tier], would.served[tier])
    row("  keep the one they have", was.stayed, would.stayed)
    pacts = bool(was.no_partner or would.no_partner or was.referred or would.referred)
    if pacts:
        row("  passed on to a partner town", was.referred, would.referred)
    table.add_section()
    row("stay without", was.asked - was.placed, would.asked - would.placed)
    for rule in [rule for rule in RULES if rule in was.without or rule in would.without]:
        row(f"  {_WHY.get(rule, rule)}", was.without.get(rule, 0), would.without.get(rule, 0))
    if pacts:
        table.add_section()
        for rule in [rule for rule in PACT_RULES if rule in was.no_partner or rule in would.no_partner]:
            row(f"  {_NO_PARTNER[rule]}", was.no_partner.get(rule, 0), would.no_partner.get(rule, 0))
    table.add_section()
    row("kilometres, of all who have one", was.km, would.km)
    row("shifts of volunteers", was.shifts, would.shifts)
    row("  of them still to be called", was.called, would.called)
    row("volunteers in them", was.volunteers, would.volunteers)
    projects = bool(was.in_projects)
    if projects:
        table.add_section()
        row("in projects, counted apart", was.in_projects, would.in_projects)
        row("  keep the place they have", was.keep_together, would.keep_together)
    console.print(table)
    console.print("Nothing was changed. Showers, meals and classes are not looked at.", highlight=False)
    if projects:
        console.print(
            "Parties of projects are placed together or not at all: that is not looked at, and no place is looked for "
            "for those who lose theirs.",
            highlight=False,
        )
