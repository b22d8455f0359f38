"""`relais audit`: whether what organizations did is written down unbroken, and heads to keep elsewhere."""

import json
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit
from db.audit import Compared
from db.chains import Flaw, Head
from db.connection import snapshot
from db.linking import link_acts
from db.settings import Settings
from relais.asking import with_engine

__all__ = ["audit_commands"]

audit_commands = typer.Typer(no_args_is_help=True, help="The chains of what organizations did.")
_WORDS = {
    "checkpoint_forged": "what is said to have been pruned up to here was not sealed by this house",
    "entry_missing": "is missing",
    "entry_changed": "was changed",
    "head_differs": "is where the entries end, but not where the head says",
    "head_missing": "entries without a head",
    "cut_off": "was there when the head was exported and is not any more",
    "rewritten": "is not what it was when the head was exported",
}
Found = tuple[dict[UUID, list[Flaw]], Compared]


@audit_commands.command("verify")
def verify(
    organization: Annotated[UUID | None, typer.Argument(help="Only this one; else all.")] = None,
    heads: Annotated[Path | None, typer.Option(help="Heads exported before: also finds what was cut off.")] = None,
) -> None:
    """Check every chain, from its oldest entry to its head; ends with 1 where one is broken."""
    exported = _read(heads) if heads else []
    if organization:
        exported = [head for head in exported if head.organization_id == organization]

    async def check(engine: AsyncEngine, settings: Settings) -> Found:
        await link_acts(engine)
        async with snapshot(engine) as tx:
            found = await audit.verify(tx, settings.keys().of("audit"), organization)
            return found, await audit.compare(tx, exported)

    found, compared = with_engine(check)
    flaws = [*(flaw for each in found.values() for flaw in each), *compared.flaws]
    for flaw in flaws:
        typer.echo(f"{flaw.organization_id}  entry {flaw.number} {_WORDS[flaw.code]}", err=True)
    for each in compared.too_old:
        typer.echo(f"{each}  its exported head was pruned since: export anew", err=True)
    typer.echo(f"{len(found)} chains checked, {len({flaw.organization_id for flaw in flaws})} broken.")
    if flaws:
        raise typer.Exit(1)


@audit_commands.command("heads")
def heads(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for `verify --heads`.")] = False
) -> None:
    """Print the newest link of every chain, to be kept where this house cannot change it."""

    async def read(engine: AsyncEngine, _: Settings) -> list[Head]:
        await link_acts(engine)
        async with snapshot(engine) as tx:
            return await audit.heads(tx)

    found = with_engine(read)
    if as_json:
        rows = [
            {"organization": str(each.organization_id), "number": each.number, "hash": each.hash.hex()}
            for each in found
        ]
        typer.echo(json.dumps(rows))
        return
    for each in found:
        typer.echo(f"{each.organization_id}  {each.number:>8}  {each.hash.hex()}")


def _read(file: Path) -> list[Head]:
    try:
        rows = json.loads(file.read_bytes())
        return [Head(UUID(row["organization"]), int(row["number"]), bytes.fromhex(row["hash"])) for row in rows]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        typer.echo("The file cannot be read as heads: give what `relais audit heads --json` printed.", err=True)
        raise typer.Exit(2) from None
