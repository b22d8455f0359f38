"""What an organization reads of its feed, once it may: events wait for all that runs in any database of the server."""

from typing import Any

from tests.api.conftest import Organization
from tests.waiting import eventually

__all__ = ["hears"]


async def hears(who: Organization, kinds: list[str], starts: str | tuple[str, ...]) -> list[dict[str, Any]]:
    """All events of an organization, once those whose kinds start so are of these kinds; fails if they never are."""

    async def heard() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = (await who.http.get("/v1/changes")).json()["items"]
        return items if [each["kind"] for each in items if each["kind"].startswith(starts)] == kinds else None

    return await eventually(heard, f"events of the kinds {kinds}")
