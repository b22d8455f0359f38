"""A routing engine over HTTP: how long the ways from one cell to others take, by OSRM's `table` service (v1).

`GET /table/v1/{profile}/{lon,lat;…}?sources=0&destinations=1;2;…&annotations=duration`, as OSRM documents it and as
adapters of others offer it. Only middles of cells are sent. Whatever comes back is believed only where it can be true.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isfinite
from typing import Final
from urllib.parse import urlsplit

import httpcore

from geo.cells import Cell, centroid
from geo.distance import great_circle
from geo.travel import Minutes

__all__ = ["MOST_PLACES", "Engine", "NoAnswer", "Trouble"]

MOST_PLACES: Final = 99
"""Of one question: OSRM takes a hundred coordinates unless told otherwise, and the door is one."""
_MOST_BYTES: Final = 1_000_000
_FASTEST_KMH: Final = 150.0
_SLACK_MINUTES: Final = 20.0
"""An engine goes from the road next to a point to that next to another: both may lie some kilometres nearer."""
_LONGEST: Final = 48 * 60
_NO_ROAD_NEAR: Final = "NoSegment"


class Trouble(StrEnum):
    """Why an engine gave no answer that can be used."""

    SLOW = "slow"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    NONSENSE = "nonsense"


class NoAnswer(Exception):  # noqa: N818 - what came of a question
    """No answer, and why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@dataclass(frozen=True)
class Engine:
    """Where the engine is (`http://…`), which of its profiles is asked, and how many seconds an answer may take."""

    url: str
    profile: str
    seconds: float

    async def minutes(self, door: Cell, places: Sequence[Cell]) -> list[Minutes | None]:
        """How long the way from a door to each place takes, in whole minutes; `None` where there is none.

        Raises `NoAnswer`.
        """
        try:
            async with asyncio.timeout(self.seconds):
                status, content = await self._get(self._question(door, places))
        except (TimeoutError, httpcore.TimeoutException):
            raise NoAnswer(Trouble.SLOW) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
            raise NoAnswer(Trouble.UNREACHABLE) from None
        told = _parsed(content)
        if told.get("code") == _NO_ROAD_NEAR:
            return await self._each_half(door, places)
        if status != 200 or told.get("code") != "Ok":
            raise NoAnswer(Trouble.REFUSED)
        return _believed(told.get("durations"), door, places)

    async def _each_half(self, door: Cell, places: Sequence[Cell]) -> list[Minutes | None]:
        """Ask so that one place without a road near it does not keep the others from an answer."""
        if len(places) == 1:
            return [None]
        half = len(places) // 2
        return [*await self.minutes(door, places[:half]), *await self.minutes(door, places[half:])]

    def _question(self, door: Cell, places: Sequence[Cell]) -> str:
        middles = [centroid(cell) for cell in (door, *places)]
        coordinates = ";".join(f"{point.longitude:.6f},{point.latitude:.6f}" for point in middles)
        to = ";".join(str(number) for number in range(1, len(middles)))
        return f"/table/v1/{self.profile}/{coordinates}?sources=0&destinations={to}&annotations=duration"

    async def _get(self, question: str) -> tuple[int, bytes]:
        """Status and body. Nothing is followed, nothing is kept, and no more is read than an answer can have."""
        at = urlsplit(self.url)
        # Put together by hand: a parser takes what follows a semicolon for parameters of the path, and drops it.
        url = httpcore.URL(
            scheme=at.scheme.encode(),
            host=(at.hostname or "").encode(),
            port=at.port,
            target=(at.path.rstrip("/") + question).encode(),
        )
        async with (
            httpcore.AsyncConnectionPool(max_keepalive_connections=0) as pool,
            pool.stream("GET", url, headers=[("Accept", "application/json")]) as answer,
        ):
            content = bytearray()
            async for part in answer.aiter_stream():
                content += part
                if len(content) > _MOST_BYTES:
                    raise NoAnswer(Trouble.NONSENSE)
            return answer.status, bytes(content)


def _parsed(content: bytes) -> dict[str, object]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise NoAnswer(Trouble.NONSENSE) from None
    if not isinstance(told, dict):
        raise NoAnswer(Trouble.NONSENSE)
    return told


def _believed(durations: object, door: Cell, places: Sequence[Cell]) -> list[Minutes | None]:
    """One row of seconds, each of which can be true. Raises `NoAnswer` for all where one cannot."""
    row = durations[0] if isinstance(durations, list) and len(durations) == 1 else None
    if not isinstance(row, list) or len(row) != len(places):
        raise NoAnswer(Trouble.NONSENSE)
    return [_minutes(seconds, door, place) for seconds, place in zip(row, places, strict=True)]


def _minutes(seconds: object, door: Cell, place: Cell) -> Minutes | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not isfinite(seconds):
        raise NoAnswer(Trouble.NONSENSE)
    least = 60 * great_circle(centroid(door), centroid(place)) / _FASTEST_KMH - _SLACK_MINUTES
    if not max(least, 0) <= seconds / 60 <= _LONGEST:
        raise NoAnswer(Trouble.NONSENSE)
    return Minutes(ceil(seconds / 60))
