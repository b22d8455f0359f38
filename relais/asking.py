"""How a command does its one act: in a transaction of the running house, and with refusals told in words."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import typer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.connection import connect, transaction
from db.environment import WrongSettings
from db.migrations import LockedOut
from db.roles import hides_rows
from db.settings import Settings
from matching.refusals import Conflict, Invalid, NotFound
from relais.embedded import StackProblem
from relais.gazetteer import UnknownCountry, UnknownTown
from relais.running import NothingRuns, settings

__all__ = ["act", "told", "with_any_engine", "with_engine"]

Result = TypeVar("Result")
_NOT_ALLOWED: Final = "42501"
"""SQLSTATE: the database's user has not the right."""
_LOCKED: Final = "55P03"
"""SQLSTATE: a lock was not to be had in time."""

_CONFLICTS = {
    "two_keys_already": "This organization has two live keys already. No key was made. What to do: see them with "
    "`relais key list`, end the one that is no longer used with `relais key revoke`, then ask again.",
    "too_many_issuers": "This house has as many issuers as it may. Nothing was registered. What to do: remove one that "
    "is no longer used with `relais sign-in remove`, then ask again.",
    "issuer_already": "This issuer is registered with this client id. Nothing was registered. What to do: see "
    "`relais sign-in list`; `relais sign-in secret` keeps another secret, `relais sign-in remove` ends it.",
    "too_many_admissions": "This issuer admits for as many as it may. Nothing was changed. What to do: remove an "
    "admission that is no longer used with `relais sign-in remove`, then ask again.",
    "admitted_already": "This stands already. Nothing was changed. What to do: see `relais sign-in list`; to let "
    "it hold longer, `relais sign-in renew`; to change what those who are admitted may do, remove it and make it anew.",
    "admission_revoked": "The key of this admission was revoked. Nothing was changed. What to do: remove it "
    "with `relais sign-in remove`, and admit anew.",
    "scope_not_for_this_kind": "An organization of this kind cannot have one of these scopes. No key was made. What "
    "to do: leave it out; without --scope the key gets all that the kind allows.",
}


def act(what: Callable[[AsyncConnection, Settings], Awaitable[Result]]) -> Result:
    """Do something in one transaction of the running house. Ends the command in words where it cannot be done."""

    async def in_transaction(engine: AsyncEngine, found: Settings) -> Result:
        async with transaction(engine) as tx:
            return await what(tx, found)

    return with_engine(in_transaction)


def with_engine(what: Callable[[AsyncEngine, Settings], Awaitable[Result]]) -> Result:
    """Do something with connections to the running house, as a user who sees all that is in it.

    Ends the command in words where it cannot be done.
    """

    async def seeing_all(engine: AsyncEngine, found: Settings) -> Result:
        # Who sees no row would find every chain whole, and no place that still needs the old key.
        async with transaction(engine) as tx:
            if await hides_rows(tx):
                raise StackProblem(
                    "Row security hides rows from the user of RELAIS_DATABASE_URL. Nothing was changed. What to do: "
                    "give the command the operator's user; after a backup was restored, run `relais migrate` first."
                )
        return await what(engine, found)

    return with_any_engine(seeing_all)


def with_any_engine(what: Callable[[AsyncEngine, Settings], Awaitable[Result]]) -> Result:
    """Do something with connections to a house that may not be ready. Ends the command in words where it cannot."""

    async def connected(found: Settings) -> Result:
        engine = connect(found, "command")
        try:
            return await what(engine, found)
        finally:
            await engine.dispose()

    with told():
        return asyncio.run(connected(settings()))


@contextmanager
def told() -> Iterator[None]:
    """Tell what goes wrong in the block in words, and end the command."""
    try:
        yield
    except (NothingRuns, StackProblem, UnknownCountry, UnknownTown) as problem:
        _end(str(problem))
    except LockedOut as locked:
        _end(
            f"{locked.step} never got its locks: something holds them for long. Steps before it are done, and all goes "
            "on as it was. What to do: run this again when less is going on, or end what holds them "
            "(`select * from pg_stat_activity where state <> 'idle'`)."
        )
    except WrongSettings as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(2) from None
    except Conflict as conflict:
        _end(_CONFLICTS.get(conflict.reason, "How things stand does not allow this. Nothing was changed."))
    except NotFound:
        _end(
            "There is no such organization, key or issuer. Nothing was changed. What to do: see them with `relais "
            "org list` and `relais sign-in list`."
        )
    except Invalid as invalid:
        flaws = ", ".join(f"{flaw.at} ({flaw.code})" for flaw in invalid.flaws)
        _end(f"This cannot be used: {flaws}. Nothing was changed. What to do: correct it and try again.")
    except (SQLAlchemyError, OSError) as error:
        state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
        if state == _LOCKED:
            _end(
                "Something else is at work on the same, and was waited for in vain. Nothing was changed. What to do: "
                "try again once it is done."
            )
        if state == _NOT_ALLOWED:
            _end(
                "The database does not allow this to the user of RELAIS_DATABASE_URL. Nothing was changed. What to do: "
                "give the command the operator's user; docs/decisions/0001-roles.md says what that one may do."
            )
        _end(
            f"The database does not answer ({type(error).__name__}). Nothing was changed. What to do: see whether "
            "Relais is still running, then try again."
        )


def _end(sentence: str) -> None:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
