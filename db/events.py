"""Events: facts appended in the transaction that made them true.

Kinds are past-tense and stable; `docs/events.md` is their table. Facts are ids, states and codes, never places
or people.
"""

import json
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["record"]

_APPEND = text("""
    insert into event (kind, object_id, organizations, facts)
    values (:kind, :object_id, :organizations, cast(:facts as jsonb))
""")


async def record(
    tx: AsyncConnection, kind: str, object_id: UUID, organizations: Sequence[UUID], **facts: str | int
) -> None:
    """Append one event, for the organizations that may hear of it."""
    await tx.execute(
        _APPEND,
        {
            "kind": kind,
            "object_id": object_id,
            "organizations": list(dict.fromkeys(organizations)),
            "facts": json.dumps(facts),
        },
    )
