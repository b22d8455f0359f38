"""`relais evidence`: the monthly report of a town, that a mayor can hand to a prefect."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from evidence.facts import MonthOfATown, read_month
from evidence.writing import written
from matching.refusals import NotFound
from relais.asking import act
from web.report_words import REPORT_LANGUAGES
from web.reports import pdf

__all__ = ["evidence_commands"]

evidence_commands = typer.Typer(no_args_is_help=True, help="What cities and associations bring to the State.")
_MONTH = re.compile(r"(?P<year>20[0-9]{2})-(?P<month>0[1-9]|1[0-2])")


@evidence_commands.callback()
def evidence() -> None:
    """Keep `report` a word of its own: others may stand beside it."""


@evidence_commands.command("report")
def report(
    town: Annotated[int, typer.Option("--town", help="The town's number in GeoNames; 3030142 is Briançon.")],
    month: Annotated[str, typer.Option("--month", help="The month, such as 2026-11.")],
    to: Annotated[Path, typer.Option("--to", help="The PDF file to write.")],
    language: Annotated[str, typer.Option("--language", help=f"One of {', '.join(REPORT_LANGUAGES)}.")] = "en",
) -> None:
    """Write what was asked for, given and missing in a town in a month, from published figures alone."""
    first_day = _first_day(month)
    if language not in REPORT_LANGUAGES:
        _end(f"There is no report in this language; there is in {', '.join(REPORT_LANGUAGES)}.")
    found = act(lambda tx, _: _month_of(tx, town, first_day))
    if isinstance(found, NotFound):
        _end(
            f"There is no town {town} here. A town is named by its number in GeoNames: `GET /v1/towns?q=` finds it by "
            "name, geonames.org too; `relais import` loads the towns of a country."
        )
    if found is None:
        _end(
            "The figures of this month were not published. A month is published some ten days after its last week has "
            "ended, by the worker; months before Relais was installed, or lost with a database, never are."
        )
    try:
        to.write_bytes(pdf(written(found, language)))
    except OSError as error:
        _end(f"{to} cannot be written ({error.strerror}).")
    typer.echo(f"{to}: {found.town.name}, {month}. It says nothing that is not public.")


async def _month_of(tx: AsyncConnection, town: int, first_day: date) -> MonthOfATown | NotFound | None:
    try:
        return await read_month(tx, town, first_day)
    except NotFound as none:
        return none


def _first_day(month: str) -> date:
    found = _MONTH.fullmatch(month)
    if found is None:
        _end("A month is written as a year and a month: 2026-11.")
    return date(int(found["year"]), int(found["month"]), 1)


def _end(why: str) -> NoReturn:
    typer.echo(f"Nothing was written. {why}", err=True)
    raise typer.Exit(2)
