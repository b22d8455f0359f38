"""`relais import`: towns of more countries, loaded from the installed gazetteer."""

from typing import Annotated

import typer

from relais.asking import act
from relais.gazetteer import load_countries

__all__ = ["import_towns"]


def import_towns(
    countries: Annotated[list[str], typer.Argument(help="Countries by their two letters, such as FR IT GR.")],
) -> None:
    """Load the towns of these countries; those that are loaded stay as they are."""
    wanted = {country.upper() for country in countries}
    added = act(
        lambda tx, _: load_countries(tx, wanted, lambda country, count: typer.echo(f"{country}: {count} towns"))
    )
    typer.echo(f"{added} towns were added." if added else "Nothing was added: these countries are loaded already.")
