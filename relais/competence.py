"""`relais competence`: whose legal duty each kind of help is, by which unmet needs are counted."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from db import competences
from db.settings import Settings
from matching.competence import Competence, NotACompetence, competence_of
from matching.refusals import StaleVersion
from relais.asking import act

__all__ = ["competence_commands"]

competence_commands = typer.Typer(no_args_is_help=True, help="Whose legal duty help is, by country and category.")
_LARGEST_FILE = 1_000_000


@competence_commands.command("show")
def show() -> None:
    """Print the table in force, as a file that `relais competence set` takes."""
    typer.echo(json.dumps(asdict(act(lambda tx, _: competences.in_force(tx))), indent=2, ensure_ascii=False))


@competence_commands.command("set")
def set_competence(
    file: Annotated[Path, typer.Argument(help="JSON with the whole table; begin with `relais competence show`.")],
) -> None:
    """Publish the next version of the table; needs that are counted from then on are counted by it."""
    given = _read(file)

    async def publish(tx: AsyncConnection, _: Settings) -> Competence:
        before = await competences.in_force(tx)
        if given.get("version", before.version) != before.version:
            raise StaleVersion(before.version)
        after = competence_of(before.version + 1, given.get("duties"), await competences.categories(tx))
        await competences.publish(tx, after)
        return after

    try:
        after = act(publish)
    except StaleVersion:
        _end("It was written for another version than the one in force: look at `relais competence show` again.")
    except NotACompetence as refusal:
        _end("\n".join(["it is no table of duties:", *(f"  {flaw}" for flaw in refusal.flaws)]))
    typer.echo(
        f"Version {after.version} is in force from now on. What was counted keeps the version it was counted by."
    )


def _read(file: Path) -> dict[str, object]:
    try:
        raw = file.read_bytes()
        given = json.loads(raw) if len(raw) <= _LARGEST_FILE else None
    except OSError as error:
        _end(f"{file} cannot be read ({error.strerror}).")
    except ValueError:
        given = None
    if not isinstance(given, dict) or not set(given) <= {"version", "duties"}:
        _end(f"{file} is not a JSON object with `duties` and perhaps `version`.")
    return given


def _end(why: str) -> NoReturn:
    typer.echo(f"Nothing was changed: {why}", err=True)
    raise typer.Exit(2)
