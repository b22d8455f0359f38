"""A routing engine on this machine that speaks OSRM's `table` service as it is documented: who comes, and what is told.

`GET /table/v1/{profile}/{lon,lat;…}?sources=…&destinations=…&annotations=duration` is answered with `code`, `durations`
(a row for each source, seconds or null), `sources` and `destinations`.
"""

import asyncio
import json
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from geo.cells import Point
from geo.distance import great_circle

__all__ = ["Question", "RoutingEngine", "routing"]

_FORM: Final = re.compile(
    r"GET (?P<path>/table/v1/(?P<profile>[a-z]+)/(?P<where>[-0-9.,;]+)"
    r"\?sources=(?P<from>[0-9;]+)&destinations=(?P<to>[0-9;]+)&annotations=duration) HTTP/1\.1"
)
SECONDS_A_KM: Final = 90
"""So it says of every way: neither what is estimated, nor impossible."""


@dataclass(frozen=True)
class Question:
    """What was asked: points, and which of them are sources and destinations."""

    line: str
    points: tuple[Point, ...]
    sources: tuple[int, ...]
    destinations: tuple[int, ...]

    def durations(self) -> list[list[float | None]]:
        """Seconds from each source to each destination."""
        return [
            [round(SECONDS_A_KM * great_circle(self.points[a], self.points[b]), 1) for b in self.destinations]
            for a in self.sources
        ]

    def answered(self, durations: object) -> tuple[int, bytes]:
        """The documented answer with these durations."""
        told = {
            "code": "Ok",
            "durations": durations,
            "sources": [self._waypoint(number) for number in self.sources],
            "destinations": [self._waypoint(number) for number in self.destinations],
        }
        return 200, json.dumps(told).encode()

    def _waypoint(self, number: int) -> dict[str, object]:
        point = self.points[number]
        return {"hint": "", "name": "", "distance": 12.5, "location": [point.longitude, point.latitude]}


Answer = Callable[[Question], Awaitable[tuple[int, bytes]]]


async def answer_well(question: Question) -> tuple[int, bytes]:
    """As a good engine does."""
    return question.answered(question.durations())


@dataclass
class RoutingEngine:
    """What came, and what is answered; `answer` may wait."""

    answer: Answer = answer_well
    asked: list[Question] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    """First lines of requests that are none of the documented form."""
    headers: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def meet(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.headers.append(head)
            line = head.split("\r\n")[0]
            form = _FORM.fullmatch(line)
            if form is None:
                self.other.append(line)
                status, body = 400, b'{"code": "InvalidUrl"}'
            else:
                question = _question(form)
                self.asked.append(question)
                status, body = await self.answer(question)
            lines = [f"HTTP/1.1 {status} As Told", "Content-Type: application/json", "Connection: close"]
            if status == 302:
                lines.append(f"Location: {self.url}/elsewhere")
            writer.write(("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body)
            await writer.drain()
        writer.close()


def _question(form: re.Match[str]) -> Question:
    points = tuple(Point(*map(float, each.split(","))) for each in form["where"].split(";"))
    return Question(form["path"], points, _numbers(form["from"]), _numbers(form["to"]))


def _numbers(written: str) -> tuple[int, ...]:
    return tuple(map(int, written.split(";")))


@asynccontextmanager
async def routing(answer: Answer = answer_well) -> AsyncIterator[RoutingEngine]:
    """An engine that listens."""
    made = RoutingEngine(answer)
    server = await asyncio.start_server(made.meet, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
