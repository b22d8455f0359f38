"""`relais export` and `relais import --from`: everything that an operator needs to go on in another instance."""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import audit, locations, moving, organizations
from db.addresses import Vault
from db.audit import Actor
from db.connection import snapshot, transaction
from db.invariants import broken
from db.locations import Sealed
from db.moving import GOES, NotEmpty
from db.settings import Settings
from relais.asking import with_engine
from relais.embedded import StackProblem
from relais.parcel import PLACES, Parcel, opened_parcel, packed, passphrase_of

__all__ = ["export", "move_in"]

PassphraseFile = Annotated[
    Path, typer.Option("--passphrase-file", help="File with the passphrase that exact places are sealed under.")
]
_AT_ONCE: Final = 1000


def export(
    to: Annotated[Path, typer.Option("--to", help="Folder to make, or a file that ends in .tar; not there yet.")],
    passphrase_file: PassphraseFile,
) -> None:
    """Write down everything that another instance needs to go on: one moment of the house, as JSON Lines.

    Exact places are sealed under the passphrase. All else can be read by whoever has it: guard it well.
    """

    async def write(engine: AsyncEngine, settings: Settings) -> int:
        return await _write(engine, settings, to, passphrase_of(passphrase_file))

    rows = with_engine(write)
    typer.echo(
        f"{rows} rows were written to {to}. Keys of organizations and webhooks are not in it, and codes of slips "
        "go on only with this house's secret file: docs/exports.md says what to do about them. What to do: stop this "
        "house before the other one serves, `relais import --from` there, and delete the export."
    )


def move_in(at: Path, passphrase_file: Path) -> None:
    """Read an export into this instance, which must be empty: all of it or nothing."""

    async def read(engine: AsyncEngine, settings: Settings) -> int:
        with opened_parcel(at, passphrase_of(passphrase_file)) as parcel:
            return await _read(engine, settings, parcel)

    rows = with_engine(read)
    typer.echo(
        f"{rows} rows were read, and everything is as it must be. What to do: `relais key issue` for every "
        "organization of `relais org list`, tell them to set up their webhooks anew, and start the API, which "
        "files the slips. Codes of slips go on only with the old secret file (docs/exports.md)."
    )


async def _write(engine: AsyncEngine, settings: Settings, to: Path, passphrase: bytes) -> int:
    vault = Vault.of_file(settings.address_key_file)
    with packed(to, passphrase) as packing:
        async with snapshot(engine) as tx:
            await _take_time(tx)
            for table in GOES:
                await packing.add(table, moving.lines(tx, table))
            await packing.add(PLACES, _sealed_lines(tx, vault, packing.vault))
            packing.close(await _schema(tx))
    async with transaction(engine) as tx:
        await _write_down(tx, "relais export")
    return sum(part.rows for part in packing.parts.values())


async def _read(engine: AsyncEngine, settings: Settings, parcel: Parcel) -> int:
    vault = Vault.of_file(settings.address_key_file)
    if parcel.parts.keys() != {*GOES, PLACES}:
        raise StackProblem("The export has not the tables that this version has. Nothing was done.")
    try:
        async with transaction(engine) as tx:
            await _take_time(tx)
            await _check_house(tx, parcel)
            await moving.forget_seeds(tx)
            for table in GOES:
                for rows in _some(parcel.lines(table)):
                    await moving.put(tx, table, rows)
            await locations.take_over(tx, vault, parcel.vault, map(_sealed, parcel.lines(PLACES)))
            await moving.finish(tx)
            await _check_result(tx, parcel)
            await _write_down(tx, "relais import")
    except DBAPIError as error:
        raise StackProblem(
            f"The database took one of its rows for wrong ({type(error.orig).__name__}). Nothing was kept of it."
        ) from error
    except ValueError as error:
        raise StackProblem(f"One of its rows cannot be used: {error}. Nothing was kept of it.") from error
    return sum(part.rows for part in parcel.parts.values())


async def _check_house(tx: AsyncConnection, parcel: Parcel) -> None:
    schema = await _schema(tx)
    if schema != parcel.schema:
        raise StackProblem(
            f"The export is of schema {parcel.schema}, and this database of {schema}. Nothing was done. What to do: "
            "bring both houses to the same version of Relais and run `relais migrate`, then export again."
        )
    try:
        await moving.check_empty(tx)
    except NotEmpty as there:
        raise StackProblem(
            f"This instance is not empty: there are rows in `{there.table}`. Nothing was done. What to do: import into "
            "one in which nobody takes part yet; two houses cannot be made one."
        ) from None


async def _check_result(tx: AsyncConnection, parcel: Parcel) -> None:
    for table in GOES:
        # Of towns there may be more than came along.
        found, came = await moving.count(tx, table), parcel.parts[table].rows
        if found != came and table not in ("town", "town_name", "category"):
            raise StackProblem(f"Of `{table}` {came} rows came and {found} are there. Nothing was kept of it.")
    wrong = await broken(tx)
    if wrong:
        raise StackProblem(f"This would not be as it must be: {', '.join(wrong)}. Nothing was kept of it.")


async def _schema(tx: AsyncConnection) -> str:
    return str((await tx.execute(text("select schema_version()"))).scalar_one())


async def _take_time(tx: AsyncConnection) -> None:
    """A whole house may take longer than a request; moments are written in UTC."""
    for setting, value in (
        ("statement_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("timezone", "UTC"),
    ):
        await tx.execute(text("select set_config(:setting, :value, true)"), {"setting": setting, "value": value})


async def _write_down(tx: AsyncConnection, what: str) -> None:
    """Into the audit of every organization: all that is theirs has left the house, or come into it."""
    for each in await organizations.every(tx):
        await audit.append(tx, Actor(each.id, "operator", "command"), what, [])


async def _sealed_lines(tx: AsyncConnection, vault: Vault, theirs: Vault) -> AsyncIterator[str]:
    async for place in locations.hand_over(tx, vault, theirs):
        written = {"site_id": str(place.site_id), "location": _told(place.location), "address": _told(place.address)}
        yield json.dumps(written)


def _sealed(line: str) -> Sealed:
    written = json.loads(line)
    return Sealed(UUID(written["site_id"]), _bytes(written["location"]), _bytes(written["address"]))


def _told(sealed: bytes | None) -> str | None:
    return None if sealed is None else base64.b64encode(sealed).decode()


def _bytes(written: str | None) -> bytes | None:
    return None if written is None else base64.b64decode(written)


def _some(lines: Iterable[str]) -> Iterator[list[str]]:
    left = iter(lines)
    while some := list(islice(left, _AT_ONCE)):
        yield some
