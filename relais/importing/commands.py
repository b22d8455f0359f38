"""`relais import`: towns of more countries, a whole house, or what an organization has in a spreadsheet."""

from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typer.core import TyperGroup

from db import audit, organizations
from db.addresses import Vault
from db.audit import Actor
from db.connection import transaction
from db.keys import SCOPES, Scope
from db.settings import Settings
from importing.columns import Columns, find
from importing.gazetteer import Gazetteer
from importing.kinds import Bringing, Kind
from importing.limits import NotASheet
from importing.offers import Offers
from importing.plan import Plan, weigh
from importing.pledges import Pledges
from importing.sheet import Sheet, read_sheet
from importing.sites import Sites
from relais.asking import with_engine
from relais.embedded import StackProblem
from relais.importing import telling
from relais.towns import import_towns

__all__ = ["import_commands"]

Terms = TypeVar("Terms")
_READ_ONLY = text("set transaction read only")


class _TownsElse(TyperGroup):
    """Countries need no word before them: `relais import FR IT` is older than the words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is none of the words for what `towns` takes."""
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in known else ["towns", *args])


import_commands = typer.Typer(
    cls=_TownsElse, help="Towns of more countries (`relais import FR IT`), or what organizations have in spreadsheets."
)
import_commands.command("towns")(import_towns)

File = Annotated[Path, typer.Argument(help="A spreadsheet: .csv or .xlsx.")]
Organization = Annotated[UUID, typer.Option(help="Whose they are: its id, from `relais org list`.")]
ColumnNames = Annotated[
    list[str] | None, typer.Option("--column", help="Which column is which, as ours=theirs; may be repeated.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Bring them in. Else it is only shown what would be.")]


@import_commands.command("sites")
def import_sites(file: File, organization: Organization, column: ColumnNames = None, *, yes: Yes = False) -> None:
    """Bring in buildings and homes; exact places and addresses are sealed, and shown nowhere."""
    _bring(Sites, file, organization, column or [], yes=yes)


@import_commands.command("offers")
def import_offers(file: File, organization: Organization, column: ColumnNames = None, *, yes: Yes = False) -> None:
    """Bring in what is given at sites that are there."""
    _bring(Offers, file, organization, column or [], yes=yes)


@import_commands.command("pledges")
def import_pledges(file: File, organization: Organization, column: ColumnNames = None, *, yes: Yes = False) -> None:
    """Bring in volunteers: how many, when and for what; never who."""
    _bring(Pledges, file, organization, column or [], yes=yes)


def _bring(kind: type[Kind[Terms]], file: Path, organization: UUID, said: list[str], *, yes: bool) -> None:
    try:
        sheet = read_sheet(file)
        found = find(kind.name, kind.columns, sheet.headers, _said(said))
    except NotASheet as problem:
        _end(str(problem), 2)
    telling.columns(found)

    async def bring(engine: AsyncEngine, settings: Settings) -> Plan[Terms]:
        async with transaction(engine) as tx:
            if not yes:
                await tx.execute(_READ_ONLY)
            return await _carry_out(tx, settings, kind, organization, sheet, found, yes=yes)

    plan = with_engine(bring)
    telling.plan(plan, found)
    if plan.wrong:
        _end("Nothing was brought in. What to do: correct the rows with errors, then try again.", 1)
    if yes:
        typer.echo(f"{len(plan.new)} {kind.name} were brought in.")
    else:
        typer.echo("Nothing was brought in yet. With --yes, the new ones are." if plan.new else "There is nothing new.")


async def _carry_out(
    tx: AsyncConnection,
    settings: Settings,
    kind: type[Kind[Terms]],
    organization_id: UUID,
    sheet: Sheet,
    found: Columns,
    *,
    yes: bool,
) -> Plan[Terms]:
    organization = await organizations.read(tx, organization_id)
    if Scope.OFFERS_WRITE not in SCOPES[organization.kind]:
        raise StackProblem(f"A {organization.kind} has no {kind.name} of its own. Nothing was done.")
    if yes:
        await organizations.bringing_in(tx, organization_id)
    keys = settings.keys()
    bringing = kind(
        Bringing(
            tx,
            organization_id,
            Gazetteer(tx, organization.towns),
            Vault.of_file(settings.address_key_file),
            keys.of("tie"),
            keys.of("tombstone"),
        )
    )
    plan = await weigh(bringing, telling.progress(sheet.rows, "Looking at the rows"), found)
    if yes and plan.new and not plan.wrong:
        rows = telling.progress(plan.new, "Bringing them in")
        made = [await bringing.add(item.terms) for _, item in rows]
        await audit.append(tx, Actor(organization_id, "operator", "command"), f"relais import {kind.name}", made)
    return plan


def _said(columns: list[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for column in columns:
        ours, equals, theirs = column.partition("=")
        if not equals or not ours.strip() or not theirs.strip() or ours.strip() in said:
            raise typer.BadParameter("--column is written as ours=theirs, once for each of ours")
        said[ours.strip()] = theirs.strip()
    return said


def _end(why: str, status: int) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(status)
