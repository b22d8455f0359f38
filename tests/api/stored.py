"""Everything that the database holds, as text: for saying that something is nowhere in it, or that nothing changed."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction

__all__ = ["everything_stored", "holds"]

_TABLES = text("select format('%I', tablename) from pg_tables where schemaname = 'public' order by 1")
_UNCHANGING = frozenset({"town", "town_name", "spatial_ref_sys"})
"""The gazetteer: nobody's request writes there, and it is long."""


async def everything_stored(engine: AsyncEngine) -> dict[str, str]:
    """By table, all columns of all rows; bytes in hexadecimal."""
    async with transaction(engine) as tx:
        tables = [str(name) for name in (await tx.execute(_TABLES)).scalars() if name not in _UNCHANGING]
        return {
            table: str(
                (
                    await tx.execute(
                        text(f"select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from {table} t")
                    )
                ).scalar_one()
            )
            for table in tables
        }


def holds(stored: dict[str, str], word: str) -> list[str]:
    """The tables that hold a word, in any case, as text or as bytes."""
    forms = (word.lower(), word.encode().hex(), word.lower().encode().hex())
    return [table for table, rows in stored.items() if any(form in rows.lower() for form in forms)]
