"""`relais doctor`: says in words what is wrong with a house, what is safe, and what to do."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from db.connection import connect
from db.environment import WrongSettings
from relais import looks_at_ground as ground
from relais import looks_at_issuers as elsewhere
from relais import looks_at_work as work
from relais.finding import Finding, House, State
from relais.running import NothingRuns, settings

__all__ = ["doctor", "look_over"]

_CANNOT_TELL: Final = 2
Look = Callable[[House], Awaitable[Finding | None]]
"""`None` is well."""
_LOOKS: Final[Mapping[str, tuple[str, Look]]] = {
    "database": ("the database answers", ground.database),
    "redis": ("Redis answers", ground.redis),
    "postgis": ("PostGIS is there", ground.postgis),
    "migrations": ("the tables are those that this version needs", ground.migrations),
    "row security": ("roles, rights and row security are as declared", ground.row_security),
    "roles": ("connections act in the roles of their process", ground.roles),
    "clock": ("the clocks agree", ground.clock),
    "time zones": ("local times agree", ground.zones),
    "keys": ("the secret and the address key open what is stored", ground.secrets),
    "processes": ("API and worker are connected", work.processes),
    "work": ("what is due is looked at", work.work),
    "transactions": ("no transaction is open for long", work.transactions),
    "replication": ("no replica or slot is far behind", work.replication),
    "replicas": ("a replica can be read from", ground.replicas),
    "backups": ("changes are kept for backups", work.backups),
    "disk": ("the database's disk has room", work.disk),
    "events": ("events are of this server", work.events),
    "audit": ("the audit is whole", work.audit),
    "signing in": ("issuers by which people sign in answer", elsewhere.issuers),
}
"""Each look with what is so when it finds nothing. Certificates are not ours: TLS is the proxy's."""
_WITHOUT_DATABASE: Final = ("database", "redis")


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look the house over. Ends with 0 when all is well, 1 when there is something to do, 2 when it cannot tell."""
    try:
        found = asyncio.run(_look())
    except (NothingRuns, WrongSettings) as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(_CANNOT_TELL) from None
    typer.echo(json.dumps([asdict(each) for each in found], ensure_ascii=False) if as_json else _in_words(found))
    states = {each.state for each in found}
    if State.TO_DO in states:
        raise typer.Exit(1)
    if State.UNKNOWN in states:
        raise typer.Exit(_CANNOT_TELL)


async def look_over(house: House) -> list[Finding]:
    """All looks, in their order; those that ask the database are left out where it does not answer."""
    found: list[Finding] = []
    for name, (words, look) in _LOOKS.items():
        if name not in _WITHOUT_DATABASE and found[0].state is not State.WELL:
            continue
        try:
            seen = await look(house)
        except (SQLAlchemyError, OSError, TimeoutError, ValueError) as error:
            seen = Finding(
                name,
                State.UNKNOWN,
                f"It cannot be told whether {words} ({type(error).__name__}).",
                "Nothing was changed.",
                "See to what stands above first; else give the command the operator's user "
                "(docs/decisions/0001-roles.md).",
            )
        found.append(seen or Finding(name, State.WELL, f"{words[0].upper()}{words[1:]}."))
    return found


async def _look() -> list[Finding]:
    house_settings = settings()
    engine = connect(house_settings, "doctor")
    try:
        return await look_over(House(house_settings, engine))
    finally:
        await engine.dispose()


def _in_words(found: list[Finding]) -> str:
    lines = []
    for each in found:
        lines.append(f"{each.state:<12}{each.what}")
        if each.state is not State.WELL:
            lines += [f"{'':<12}Safe: {each.safe}", f"{'':<12}What to do: {each.what_to_do}"]
    to_do = sum(each.state is not State.WELL for each in found)
    return "\n".join([*lines, "", f"{len(found)} looks, {to_do} to see to." if to_do else "All is well."])
