"""`relais feed`: what an operator does to the feed of events after the database went back in time."""

from typing import Annotated, Final

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import feed
from db.settings import Settings
from relais.asking import act

__all__ = ["feed_commands"]

feed_commands = typer.Typer(no_args_is_help=True, help="The feed of events.")
_WHAT_IT_MEANS: Final = """\
This makes the feed begin anew. No event is lost: what is kept can be read from its beginning. But every cursor of
before ends:
  GET /v1/changes   answers 410 `feed-broken` once; its reader reads the lists anew
  GET /v1/events    tells `feed.broken`, and goes on
  webhooks          are told `feed.broken`, then what happens from now on
For a restore by hand, for `pg_resetwal`, and where `relais doctor` says so. `relais restore` does it itself."""


@feed_commands.command("begin-anew")
def begin_anew(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """End all places in the feed, after the database was restored by hand: who reads is told to look anew."""
    typer.echo(_WHAT_IT_MEANS)
    if not yes and not typer.confirm("Begin anew?"):
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)
    act(_begin)
    typer.echo("The feed has begun anew.")


async def _begin(tx: AsyncConnection, _: Settings) -> None:
    # As many rows as there are events may change.
    await tx.execute(text("set local statement_timeout = 0"))
    await feed.begin_anew(tx)
