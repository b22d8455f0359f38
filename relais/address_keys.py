"""`relais keys rotate-addresses`: another key for exact places, while everything runs."""

import asyncio
import base64
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from db import locations
from db.addresses import Vault, keys_of
from db.connection import transaction
from db.settings import Settings
from relais.asking import with_engine
from relais.embedded import StackProblem
from relais.up import write_private

__all__ = ["add_key", "keys_commands", "reseal_all"]

keys_commands = typer.Typer(no_args_is_help=True, help="Keys of the house itself.")
_AT_ONCE = 100
_SETTLE_SECONDS = 2.0
"""How long who read the file just before has to finish what it was sealing."""


class CannotWrite(StackProblem):
    """The key file cannot be written by this command; the message says what to do."""


@keys_commands.callback()
def keys() -> None:
    """Keys of the house itself."""


@keys_commands.command("rotate-addresses")
def rotate_addresses(
    *,
    retire: Annotated[bool, typer.Option("--retire", help="Afterwards: take the older keys out of the file.")] = False,
) -> None:
    """Seal all exact places under a new key; may be stopped and started again at any moment.

    The new key is added to the address key file as its last line; where it has several lines already, that was done
    and the last one is used. The older ones stay readable until `--retire`.
    """
    if retire:
        with_engine(_retire)
        typer.echo("The older keys are out of the file. Backups made before today still need them: keep a copy apart.")
        return
    resealed, began = with_engine(_rotate)
    typer.echo(
        f"{'A new key was added to the file.' if began else 'The newest key of the file was used.'} "
        f"{resealed} places were sealed under it; none is left under another. What to do: copy the file to wherever "
        "you keep copies and to every machine that serves, then run this again with --retire."
    )


async def _rotate(engine: AsyncEngine, settings: Settings) -> tuple[int, bool]:
    file = settings.address_key_file
    began = len(keys_of(file)) == 1
    if began:
        add_key(file)
        await asyncio.sleep(_SETTLE_SECONDS)
    return await reseal_all(engine, Vault.of_file(file)), began


async def _retire(engine: AsyncEngine, settings: Settings) -> None:
    file = settings.address_key_file
    async with transaction(engine) as tx:
        left = await locations.count_under_other_keys(tx, Vault.of_file(file))
    if left:
        raise StackProblem(
            f"{left} places still need an older key. Nothing was changed. What to do: run `relais keys "
            "rotate-addresses` once more, then this again."
        )
    try:
        write_private(file, base64.b64encode(keys_of(file)[-1]) + b"\n")
    except OSError as error:
        raise _cannot_write(file, error, "leave only its last line yourself") from error


def add_key(file: Path) -> None:
    """Add a new key as the last line. The others are never touched: whatever happens, none is lost."""
    before = file.read_bytes()
    line = (b"" if before.endswith(b"\n") else b"\n") + base64.b64encode(secrets.token_bytes(32)) + b"\n"
    try:
        with file.open("ab", buffering=0) as out:
            out.write(line)
            os.fsync(out.fileno())
    except OSError as error:
        raise _cannot_write(file, error, f"`openssl rand -base64 32 >> {file.name}` where it can be written") from error


async def reseal_all(engine: AsyncEngine, vault: Vault) -> int:
    """Seal everything under the vault's newest key, some at a time. How many sites."""
    resealed = 0
    while True:
        async with transaction(engine) as tx:
            done = await locations.reseal(tx, vault, _AT_ONCE)
        if not done:
            return resealed
        resealed += done


def _cannot_write(file: Path, error: OSError, instead: str) -> CannotWrite:
    return CannotWrite(
        f"The address key file {file.name} cannot be written here ({error.strerror}). Nothing was changed. What to "
        f"do: {instead}, then run this again."
    )
