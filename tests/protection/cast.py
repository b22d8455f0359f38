"""Who takes part in an evening, and what they ask over HTTP; each is recorded under its role."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys, organizations
from db.connection import transaction
from matching.vocabulary import OrganizationKind
from tests.db.acts import settled
from tests.places import BRIANCON, MONTGENEVRE
from tests.protection.houses import House
from tests.protection.transcripts import Recorder
from tests.waiting import eventually

__all__ = ["Cast"]

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Cast:
    """Six organizations with a key each, the people with their codes, and anybody."""

    def __init__(self, house: House) -> None:
        self.recorder = Recorder()
        self.house = house
        self.organizations: dict[str, UUID] = {}
        self._roles: dict[str, httpx.AsyncClient] = {}

    @property
    def engine(self) -> AsyncEngine:
        """The database of the house."""
        return self.house.engine

    async def join(self) -> None:
        """Every organization gets its key."""
        kinds = {
            "coordination": (OrganizationKind.COORDINATION, BRIANCON),
            "neighbour": (OrganizationKind.COORDINATION, MONTGENEVRE),
            "town hall": (OrganizationKind.MUNICIPALITY, BRIANCON),
            "owner": (OrganizationKind.ASSOCIATION, BRIANCON),
            "host": (OrganizationKind.ASSOCIATION, MONTGENEVRE),
            "bystander": (OrganizationKind.ASSOCIATION, BRIANCON),
        }
        hashing = self.house.settings.keys().of("api-key")
        for role, (kind, town) in kinds.items():
            async with transaction(self.engine) as tx:
                joined = await organizations.add(tx, kind, f"The {role}", (town.id,))
                issued = await keys.issue(tx, joined, hashing, None)
            self.organizations[role] = joined
            self._roles[role] = self.recorder.client(role, self.house.url, issued.text)

    async def ask(
        self, role: str, method: str, path: str, *, said: Sequence[int] = (200, 201), **request: Any
    ) -> httpx.Response:
        """Ask as a role; who has no key asks without one. `said` are the statuses expected, none for any."""
        if role not in self._roles:
            self._roles[role] = self.recorder.client(role, self.house.url)
        answer = await self._roles[role].request(method, path, **request)
        assert not said or answer.status_code in said, f"{role}: {method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def heard(self) -> dict[str, list[str]]:
        """By surface, what each organization hears of the feed: of each object all that happened to it, in its order.

        What happens to different objects in one moment comes in any order, so their ids say nothing here.
        """
        await settled(self.engine)
        return {f"feed of {role}": await self._heard_by(role) for role in self.organizations}

    async def _heard_by(self, role: str) -> list[str]:
        of_object: dict[str, list[str]] = defaultdict(list)
        key = {"Authorization": self._roles[role].headers["Authorization"]}
        async with httpx.AsyncClient(base_url=self.house.url, headers=key, timeout=90, trust_env=False) as http:
            page = {"more": True, "next": None}
            while page["more"]:
                page = (await http.get("/v1/changes", params={"since": page["next"]} if page["next"] else {})).json()
                for each in page["items"]:
                    of_object[each["object_id"]].append(json.dumps({**each, "id": "", "object_id": "", "at": ""}))
        return sorted(_ID.sub("<id>", " ".join(told)) for told in of_object.values())

    async def until(self, what: str, look: Callable[[], Awaitable[object]], wanted: object) -> None:
        """Wait until a look sees what is wanted."""

        async def seen() -> bool:
            return bool(await look() == wanted)

        await eventually(seen, what, 90)

    async def end(self) -> None:
        """Let go of the connections."""
        await asyncio.gather(*(client.aclose() for client in self._roles.values()))
