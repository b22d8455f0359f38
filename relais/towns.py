"""`relais import`: towns of more countries, loaded from the installed gazetteer; or a whole house, from its export."""

from pathlib import Path
from typing import Annotated

import typer

from relais.asking import act
from relais.gazetteer import load_countries
from relais.moving import move_in

__all__ = ["import_towns"]


def import_towns(
    countries: Annotated[
        list[str] | None, typer.Argument(help="Countries by their two letters, such as FR IT GR.")
    ] = None,
    at: Annotated[Path | None, typer.Option("--from", help="An export of another instance, instead.")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="File with the passphrase of that export.")
    ] = None,
) -> None:
    """Load the towns of these countries; those that are loaded stay as they are.

    With --from: read what `relais export` wrote into this instance, which must be empty: all of it or nothing.
    """
    if at is not None and passphrase_file is not None and not countries:
        move_in(at, passphrase_file)
        return
    if not countries or at is not None or passphrase_file is not None:
        raise typer.BadParameter("give countries; or --from and --passphrase-file")
    wanted = {country.upper() for country in countries}
    added = act(
        lambda tx, _: load_countries(tx, wanted, lambda country, count: typer.echo(f"{country}: {count} towns"))
    )
    typer.echo(f"{added} towns were added." if added else "Nothing was added: these countries are loaded already.")
