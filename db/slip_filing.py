"""Under what slips are filed: needs from before there were slips, and a secret that is another than it was."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.connection import transaction
from db.roles import Role, acting_as
from db.slips import SlipKeys

__all__ = ["count_misfiled", "file_missing"]

# The needs of a pathway are found by its one code.
_UNFILED = text("""
    select id from need where slip is null and ended_at is null and pathway_id is null and project_id is null
     union all
    select id from pathway where slip is null
     union all
    select id from project where slip is null
""")
_FILED = text("select id, slip from need where slip is not null order by posted_at desc limit :most")
_FILE = tuple(
    text(f"""
        update {table} set slip = filed.slip
          from unnest(cast(:ids as uuid[]), cast(:slips as bytea[])) as filed (id, slip)
         where {table}.id = filed.id and {table}.slip is null
    """)
    for table in ("need", "pathway", "project")
)


async def file_missing(engine: AsyncEngine, keys: SlipKeys) -> None:
    """File the needs that were posted before there were slips, so that the codes given then open something."""
    async with transaction(engine) as tx, acting_as(tx, Role.MATCHER):
        ids = (await tx.execute(_UNFILED)).scalars().all()
        if ids:
            values = {"ids": ids, "slips": [keys.filed(each) for each in ids]}
            for statement in _FILE:
                await tx.execute(statement, values)


async def count_misfiled(tx: AsyncConnection, keys: SlipKeys, most: int) -> int:
    """How many of the newest needs are filed under another secret than this one; `most` are looked at."""
    rows = await tx.execute(_FILED, {"most": most})
    return sum(row.slip != keys.filed(row.id) for row in rows)
