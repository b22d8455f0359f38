"""For those who run the service: is it alive, is it ready."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from api.house import TheHouse
from api.problems import Unavailable, problems
from api.wire import Wire

__all__ = ["router"]


class HealthOut(Wire):
    """A word that says that all is well."""

    status: Annotated[Literal["ok"], Field(max_length=2)]


router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> HealthOut:
    """The process answers."""
    return HealthOut(status="ok")


@router.get("/readyz", responses=problems(503))
async def readyz(house: TheHouse) -> HealthOut:
    """It may be sent requests: the database answers with the schema that is needed, and the process stays.

    The doorbell is not asked: work goes on without it.
    """
    if house.leaving.is_set() or await house.readiness.lack() is not None:
        raise Unavailable
    return HealthOut(status="ok")
