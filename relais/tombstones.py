"""`relais tombstones`: what was purged, kept beside the backups, and purged again after one is restored."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from db import tombstones
from db.settings import Settings
from relais.asking import act

__all__ = ["tombstone_commands"]

tombstone_commands = typer.Typer(no_args_is_help=True, help="What was purged and must not come back.")


@tombstone_commands.command("export")
def export() -> None:
    """Print all tombstones, one a line: keyed hashes, to be kept beside the backups and newer than them."""
    for name in act(lambda tx, _: tombstones.every(tx)):
        typer.echo(name.hex())


@tombstone_commands.command("reapply")
def reapply(
    file: Annotated[
        Path | None, typer.Argument(help="What `export` printed; else those of the database alone.")
    ] = None,
) -> None:
    """Purge again, after a backup was restored, what has a tombstone."""
    try:
        brought = frozenset(bytes.fromhex(line) for line in file.read_text().split()) if file else frozenset[bytes]()
    except (OSError, ValueError):
        typer.echo("The file cannot be read as tombstones. Nothing was changed.", err=True)
        raise typer.Exit(2) from None

    async def again(tx: AsyncConnection, settings: Settings) -> int:
        return await tombstones.reapply(tx, settings.keys().of("tombstone"), brought)

    typer.echo(f"{act(again)} things that had been purged were purged again.")
