"""Published tables of legal duties: the newest version is in force, and none is ever edited."""

import json
from dataclasses import asdict

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.competence import Competence, competence_of
from matching.refusals import StaleVersion

__all__ = ["categories", "in_force", "publish", "version"]

_NEWEST = text("select version, duties from competence order by version desc limit 1")
_VERSION = text("select version, duties from competence where version = :version")
_CATEGORIES = text("select code from category order by code")
# The key decides between two who publish at once: the second one's number is taken.
_PUBLISH = text("""
    insert into competence (version, duties)
    select :version, cast(:duties as jsonb) where (select max(version) from competence) = :version - 1
    on conflict (version) do nothing
    returning version
""")


async def categories(tx: AsyncConnection) -> list[str]:
    """The codes of all kinds of help."""
    return list((await tx.execute(_CATEGORIES)).scalars())


async def in_force(tx: AsyncConnection) -> Competence:
    """The table by which unmet needs are counted now."""
    row = (await tx.execute(_NEWEST)).one()
    return competence_of(row.version, row.duties, await categories(tx))


async def version(tx: AsyncConnection, number: int) -> Competence:
    """A version that was in force."""
    row = (await tx.execute(_VERSION, {"version": number})).one()
    return competence_of(row.version, row.duties, await categories(tx))


async def publish(tx: AsyncConnection, competence: Competence) -> None:
    """Put the next version in force, for every need counted from the commit on.

    Raises `StaleVersion` when it does not follow the one in force: somebody else published meanwhile.
    """
    given = {"version": competence.version, "duties": json.dumps(asdict(competence)["duties"])}
    if (await tx.execute(_PUBLISH, given)).one_or_none() is None:
        raise StaleVersion((await in_force(tx)).version)
