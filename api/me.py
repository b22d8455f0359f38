"""Who am I: the caller's own organization, for a client to check its key and what it may do."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import AnyKey
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import Instant, TownId, Wire
from db import organizations
from db.keys import Scope
from matching.vocabulary import OrganizationKind

__all__ = ["router"]

router = APIRouter(prefix="/v1/me", tags=["me"], route_class=TransactionalRoute)


class MeOut(Wire):
    """The caller's organization, and what its key may do until when."""

    id: UUID
    kind: OrganizationKind
    name: Annotated[str, Field(max_length=200)]
    self_organized: bool
    towns: Annotated[list[TownId], Field(max_length=1000)]
    scopes: Annotated[list[Scope], Field(max_length=20)]
    key_expires_at: Instant


@router.get("", responses=problems(401, 422))
async def read_me(who: AnyKey, tx: Tx, reply: Reply) -> MeOut:
    """The organization that the key belongs to."""
    own = await organizations.read(tx, who.organization_id)
    reply.version(own.version)
    return MeOut(
        id=own.id,
        kind=own.kind,
        name=own.name,
        self_organized=own.self_organized,
        towns=list(own.towns),
        scopes=sorted(who.scopes),
        key_expires_at=who.expires_at,
    )
