"""The routing engine is asked ahead, by cells alone; while it is slow, dead or talks nonsense, ways are estimated."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from math import ceil
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from db import policies
from db.connection import transaction
from db.roles import Role
from geo.cells import COARSE_RESOLUTION, Cell, Point, cell_of, centroid
from geo.distance import great_circle
from geo.travel import minutes_between
from relais.embedded.ports import free_port
from tests.acting import in_role
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold, one, rows
from tests.pacts import works_in
from tests.places import BRIANCON, GAP, MENTON, MONTGENEVRE, PlaceRow
from tests.waiting import eventually
from tests.worker.conftest import StartWorker
from tests.worker.engine import SECONDS_A_KM, Question, RoutingEngine, answer_well, routing
from worker.routing import Engine, NoAnswer, Trouble
from worker.travel import Travel

PLACES = [MONTGENEVRE.cell, GAP.cell]
Answer = Callable[[Question], Awaitable[tuple[int, bytes]]]


def engine_at(server: RoutingEngine, seconds: float = 30) -> Engine:
    return Engine(server.url, "driving", seconds)


def told(a: Cell, b: Cell) -> int:
    """What the tests' engine says of a way, in whole minutes."""
    return ceil(round(SECONDS_A_KM * great_circle(centroid(a), centroid(b)), 1) / 60)


async def trouble_with(server: RoutingEngine, seconds: float = 30) -> Trouble | None:
    try:
        await engine_at(server, seconds).minutes(BRIANCON.cell, PLACES)
    except NoAnswer as none:
        return none.trouble
    return None


def always(body: object, status: int = 200) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(_: Question) -> tuple[int, bytes]:
        return status, content

    return answer


async def test_the_engine_is_asked_as_it_is_documented_and_its_minutes_are_told() -> None:
    async with routing() as server:
        assert await engine_at(server).minutes(BRIANCON.cell, PLACES) == [told(BRIANCON.cell, each) for each in PLACES]
    (question,) = server.asked
    assert (question.sources, question.destinations) == ((0,), (1, 2))
    assert not server.other
    assert "cookie" not in server.headers[0].lower()


async def test_where_there_is_no_way_none_is_told() -> None:
    async def answer(question: Question) -> tuple[int, bytes]:
        return question.answered([[None, 1200]])

    async with routing(answer) as server:
        assert await engine_at(server).minutes(BRIANCON.cell, PLACES) == [None, 20]


async def test_one_place_without_a_road_keeps_no_other_from_its_answer() -> None:
    lonely = centroid(GAP.cell)

    async def answer(question: Question) -> tuple[int, bytes]:
        if any(great_circle(point, lonely) < 0.1 for point in question.points):
            return 400, b'{"code": "NoSegment", "message": "Could not find a matching segment for coordinate 2"}'
        return await answer_well(question)

    many = [MENTON.cell, GAP.cell, MONTGENEVRE.cell]
    async with routing(answer) as server:
        minutes = await engine_at(server).minutes(BRIANCON.cell, many)
    assert minutes == [told(BRIANCON.cell, MENTON.cell), None, told(BRIANCON.cell, MONTGENEVRE.cell)]


OK = {"code": "Ok"}
RUBBISH: dict[str, tuple[object, int, Trouble]] = {
    "nothing": (b"", 200, Trouble.NONSENSE),
    "a page": (b"<html>Welcome</html>", 200, Trouble.NONSENSE),
    "a list": ([1, 2], 200, Trouble.NONSENSE),
    "no durations": (OK, 200, Trouble.NONSENSE),
    "too few": (OK | {"durations": [[600]]}, 200, Trouble.NONSENSE),
    "too many": (OK | {"durations": [[600, 5400, 1]]}, 200, Trouble.NONSENSE),
    "two rows": (OK | {"durations": [[600, 5400], [600, 5400]]}, 200, Trouble.NONSENSE),
    "words": (OK | {"durations": [["600", "5400"]]}, 200, Trouble.NONSENSE),
    "truth": (OK | {"durations": [[True, 5400]]}, 200, Trouble.NONSENSE),
    "before setting out": (OK | {"durations": [[-1, 5400]]}, 200, Trouble.NONSENSE),
    "faster than anybody": (OK | {"durations": [[600, 1]]}, 200, Trouble.NONSENSE),
    "for ever": (OK | {"durations": [[600, 1e12]]}, 200, Trouble.NONSENSE),
    "not a number": (b'{"code": "Ok", "durations": [[600, NaN]]}', 200, Trouble.NONSENSE),
    "infinite": (b'{"code": "Ok", "durations": [[600, Infinity]]}', 200, Trouble.NONSENSE),
    "deep": (b"[" * 100_000, 200, Trouble.NONSENSE),
    "long": (b'{"code": "Ok", "durations": [[' + b"1," * 1_000_000, 200, Trouble.NONSENSE),
    "refused": ({"code": "TooBig", "message": "Too many table coordinates"}, 400, Trouble.REFUSED),
    "not well": (OK | {"durations": [[600, 5400]]}, 500, Trouble.REFUSED),
    "elsewhere": (OK | {"durations": [[600, 5400]]}, 302, Trouble.REFUSED),
}


@pytest.mark.parametrize("name", RUBBISH)
async def test_what_cannot_be_true_is_not_believed(name: str) -> None:
    body, status, trouble = RUBBISH[name]
    async with routing(always(body, status)) as server:
        assert await trouble_with(server) == trouble
        assert not server.other, "nobody is followed elsewhere"


async def test_control_the_same_with_what_can_be_true_is_believed() -> None:
    async with routing(always(OK | {"durations": [[600, 5400]]})) as server:
        assert await trouble_with(server) is None


async def test_an_engine_that_says_nothing_or_is_not_there_gives_no_answer() -> None:
    never = asyncio.Event()

    async def waits(_: Question) -> tuple[int, bytes]:
        await never.wait()
        return 200, b""

    async with routing(waits) as server:
        assert await trouble_with(server, seconds=0.2) == Trouble.SLOW
        never.set()
    nowhere = RoutingEngine(port=free_port())
    assert await trouble_with(nowhere) == Trouble.UNREACHABLE


class Watched:
    """`Travel` with a clock that is moved by hand, and its figures."""

    def __init__(self, database: AsyncEngine, server: RoutingEngine) -> None:
        self.now = 0.0
        self.registry = CollectorRegistry()
        worker = in_role(database, Role.MATCHER)
        self.travel = Travel(worker, engine_at(server), self.registry, asyncio.Event(), lambda: self.now)

    async def look(self) -> float:
        return await self.travel.look()

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def town_hall(engine: AsyncEngine) -> UUID:
    """The municipality of Briançon, with places there, in Montgenèvre and, too far away, in Menton."""
    async with transaction(engine) as tx:
        made = await add_organization(tx, name="Municipality of Briançon")
        await works_in(tx, made, BRIANCON)
        for place in (BRIANCON, MONTGENEVRE, MENTON):
            await add_offer(tx, made, place=place)
    return made


async def known(engine: AsyncEngine) -> dict[tuple[int, int], int | None]:
    found = await rows(engine, "select from_cell, to_cell, minutes from travel_time")
    return {(row.from_cell, row.to_cell): row.minutes for row in found}


async def test_ways_are_asked_ahead_before_anybody_needs_them_and_once(engine: AsyncEngine, town_hall: UUID) -> None:
    assert town_hall
    async with routing() as server:
        watched = Watched(engine, server)
        await watched.look()
        way = (BRIANCON.cell, MONTGENEVRE.cell)
        assert await known(engine) == {way: told(*way)}
        await watched.look()
        assert len(server.asked) == 1
        await rows(engine, "delete from travel_time")
        await watched.look()
        assert len(server.asked) == 2, "what is not kept any more is asked anew"
    assert watched.count("relais_routing_ways_total", by="engine") == 2


async def test_where_people_wait_ways_are_asked_for_too(engine: AsyncEngine, town_hall: UUID) -> None:
    async with transaction(engine) as tx:
        await add_need(tx, town_hall, place=MENTON)
        await add_offer(
            tx, town_hall, place=MENTON, cell=cell_of(Point(7.45, 43.75)), point="SRID=4326;POINT(7.45 43.75)"
        )
    async with routing() as server:
        await Watched(engine, server).look()
        assert {way[0] for way in await known(engine)} == {BRIANCON.cell, MENTON.cell}


async def test_an_engine_in_trouble_is_left_alone_longer_each_time_and_asked_again(
    engine: AsyncEngine, town_hall: UUID
) -> None:
    assert town_hall
    async with routing(always(b"nonsense")) as server:
        watched = Watched(engine, server)
        for rest in (30, 60, 120, 240, 480, 600, 600):
            before = len(server.asked)
            await watched.look()
            assert len(server.asked) == before + 1
            assert watched.count("relais_routing_rests") == 1
            watched.now += rest - 1
            assert await watched.look() == 1, "seconds that are left of its rest"
            assert len(server.asked) == before + 1
            watched.now += 1
        assert watched.count("relais_routing_questions_total", end="nonsense") == 7
        assert watched.count("relais_routing_ways_total", by="estimate") == 7
        assert await known(engine) == {}
        server.answer = answer_well
        await watched.look()
        assert watched.count("relais_routing_rests") == 0
        assert len(await known(engine)) == 1
        # Once it has answered, it is forgiven.
        await rows(engine, "delete from travel_time")
        server.answer = always(b"nonsense")
        await watched.look()
        watched.now += 30
        asked = len(server.asked)
        await watched.look()
        assert len(server.asked) == asked + 1


async def placed(engine: AsyncEngine, town_hall: UUID) -> tuple[UUID, int]:
    """A party of Briançon is held: at which offer, and how long the way there takes."""
    async with transaction(engine) as tx:
        need_id = await add_need(tx, town_hall)
    await hold(engine, need_id)
    made = await one(engine, "select offer_id, travel_minutes from allocation where need_id = :id", id=need_id)
    return made.offer_id, made.travel_minutes


@pytest.mark.parametrize("answer", [always(b"nonsense"), always({"code": "Ok"}, 500)], ids=["nonsense", "not well"])
async def test_meanwhile_ways_are_estimated_and_nobody_waits(
    engine: AsyncEngine, town_hall: UUID, answer: Answer
) -> None:
    await rows(engine, "update offer set state = 'closed' where cell = :cell", cell=BRIANCON.cell)
    async with routing(answer) as server:
        await Watched(engine, server).look()
        assert server.asked
    _, minutes = await placed(engine, town_hall)
    assert minutes == minutes_between(BRIANCON.cell, MONTGENEVRE.cell)


async def test_control_an_engine_that_answers_is_believed(engine: AsyncEngine, town_hall: UUID) -> None:
    await rows(engine, "update offer set state = 'closed' where cell = :cell", cell=BRIANCON.cell)
    async with routing() as server:
        await Watched(engine, server).look()
    _, minutes = await placed(engine, town_hall)
    assert minutes == told(BRIANCON.cell, MONTGENEVRE.cell) != minutes_between(BRIANCON.cell, MONTGENEVRE.cell)


NEAR = replace(GAP, id=MONTGENEVRE.id, longitude=6.60, latitude=44.85)
"""Six kilometres from Briançon, on the other side of a mountain as the engine has it."""


async def over_the_mountain(question: Question) -> tuple[int, bytes]:
    """The nearer of the places takes longer."""
    slow = centroid(NEAR.cell)
    row = [
        7200 if great_circle(question.points[number], slow) < 0.1 else seconds
        for number, seconds in zip(question.destinations, question.durations()[0], strict=True)
    ]
    return question.answered([row])


@pytest.mark.parametrize("minute_km", [0, 1])
async def test_minutes_decide_where_the_policy_weighs_them(engine: AsyncEngine, minute_km: int) -> None:
    async with transaction(engine) as tx:
        hall = await add_organization(tx)
        await works_in(tx, hall, BRIANCON)
        nearer = await add_offer(tx, hall, place=NEAR)
        quicker = await add_offer(tx, hall, place=MONTGENEVRE)
        in_force = await policies.in_force(tx)
        await policies.publish(tx, replace(in_force, version=in_force.version + 1, minute_km=minute_km))
    async with routing(over_the_mountain) as server:
        await Watched(engine, server).look()
    assert (await placed(engine, hall))[0] == (quicker if minute_km else nearer)


def strays(questions: Iterable[Question], cells: Iterable[Cell]) -> list[Point]:
    """Points that were asked for and are the middle of none of these cells."""
    middles = [centroid(cell) for cell in cells]
    asked = [point for question in questions for point in question.points]
    return [point for point in asked if min(great_circle(point, middle) for middle in middles) > 0.001]


async def test_only_middles_of_cells_leave_the_house(engine: AsyncEngine, town_hall: UUID) -> None:
    home = cell_of(MONTGENEVRE.point, COARSE_RESOLUTION)
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall, place=MONTGENEVRE, cell=home, site={"kind": "private_home"})
        await add_need(tx, town_hall, place=GAP)
    async with routing() as server:
        await Watched(engine, server).look()
        cells = [BRIANCON.cell, GAP.cell, MONTGENEVRE.cell, home]
        assert server.asked
        assert strays(server.asked, cells) == []
        heads = "".join(server.headers)
        assert f"{MONTGENEVRE.longitude:.3f}" not in heads
    exact = replace(server.asked[0], points=(*server.asked[0].points, MONTGENEVRE.point))
    assert strays([exact], cells) == [MONTGENEVRE.point], "control: a point that is none is seen"


async def test_a_worker_asks_by_itself_and_shows_how_that_goes(
    engine: AsyncEngine, town_hall: UUID, start_worker: StartWorker
) -> None:
    assert town_hall
    async with routing() as server:
        start_worker(RELAIS_ROUTING_URL=server.url)

        async def asked() -> dict[tuple[int, int], int | None]:
            return await known(engine)

        ways = await eventually(asked, "the worker asked for the way", 180)
    assert ways == {(BRIANCON.cell, MONTGENEVRE.cell): told(BRIANCON.cell, MONTGENEVRE.cell)}


def test_the_place_on_the_other_side_is_the_nearer_one() -> None:
    assert great_circle(BRIANCON.point, NEAR.point) < great_circle(BRIANCON.point, MONTGENEVRE.point)
    assert isinstance(NEAR, PlaceRow)
