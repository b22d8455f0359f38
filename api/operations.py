"""For those who run the service: is it alive, is it ready, how is it doing."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from sqlalchemy import text

from api.house import TheHouse
from api.metrics import Metrics
from api.problems import problems
from api.wire import Wire
from db.connection import transaction
from db.roles import Role, acting_as

__all__ = ["router"]

_PATIENCE = 2.0
_PARKED = text("select count(*) from need where parked_at is not null and state in ('open', 'unmet')")


class HealthOut(Wire):
    """A word that says that all is well."""

    status: Annotated[Literal["ok"], Field(max_length=2)]


def router(metrics: Metrics) -> APIRouter:
    """The routes, over the figures of this process."""
    made = APIRouter(tags=["operations"])

    @made.get("/healthz")
    async def healthz() -> HealthOut:
        """The process answers."""
        return HealthOut(status="ok")

    @made.get("/readyz", responses=problems(503))
    async def readyz(house: TheHouse) -> HealthOut:
        """The database answers. The doorbell is not asked: work goes on without it."""
        async with asyncio.timeout(_PATIENCE), transaction(house.engine) as tx:
            await tx.execute(text("select from policy limit 1"))
        return HealthOut(status="ok")

    @made.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string", "maxLength": 10_000_000}}}},
            **problems(503),
        },
    )
    async def show_metrics(house: TheHouse) -> Response:
        """Figures about the service itself, for Prometheus; nothing about needs, places or organizations."""
        async with asyncio.timeout(_PATIENCE), transaction(house.engine) as tx, acting_as(tx, Role.MATCHER):
            metrics.parked.set((await tx.execute(_PARKED)).scalar_one())
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return made
