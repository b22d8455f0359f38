"""Thousands of words about people are pushed through every input, and then looked for wherever anything is kept.

None may be found: not in the database, its files and its log of changes, not in Redis, in logs, figures, answers or
exports. Addresses of places, which are taken in, may only be there as ciphertext. For each kind of place a control
writes such words there on purpose, and the same search must find them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from prometheus_client import generate_latest
from redis.asyncio import Redis

from api.metrics import Metrics
from db.addresses import Vault
from db.connection import connect, listening_address, transaction
from db.locations import Address, read_address
from tests.protection import words
from tests.protection.commands import exported, plant_in_commands
from tests.protection.house import OwnHouse, own_house
from tests.protection.inputs import Supply
from tests.protection.planting import Garden, plant_everywhere
from tests.protection.remains import changes_of, logs_of, redis_of, server_files_of, statements_of, tables_of
from tests.protection.scanner import Scanner

LIMITS = (
    "SLIP_MISSES_PER_CLIENT",
    "SLIP_MISSES_IN_ALL",
    "SLIP_REQUESTS_PER_CODE",
    "KEY_REQUESTS_PER_MINUTE",
)


@dataclass(frozen=True)
class Planted:
    """A house in which everything was planted, and what to look for."""

    house: OwnHouse
    supply: Supply
    garden: Garden
    scanner: Scanner
    strings: list[str]
    address: str
    commands: int


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, *, long: bool) -> Iterator[Planted]:
    """Plant everywhere: in the normal form one kind of string an input, in the long form three, and thrice as many."""
    strings = words.strings(7_200 if long else 2_400)
    slugs, addresses = words.slugs(), words.addresses()
    supply = Supply(strings, slugs, addresses, width=3 if long else 1)
    unlimited = {f"RELAIS_{name}": "1000000" for name in LIMITS}
    with own_house(**unlimited, RELAIS_WAIT_SECONDS="0") as house:
        garden = asyncio.run(plant_everywhere(house, supply, addresses[0]))
        commands = plant_in_commands(house, garden.organization_id, supply, tmp_path_factory.mktemp("files"))
        everything = [*strings, *slugs, *addresses]
        yield Planted(house, supply, garden, Scanner(everything), everything, addresses[0], commands)


async def gathered(kept: AsyncIterator[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [each async for each in kept]


async def test_every_string_was_sent_and_much_of_it_reached_the_house(planted: Planted) -> None:
    sent = Scanner(planted.strings).places(
        (str(number), "\n".join([each.url, *(value for _, value in each.headers)]).encode() + each.content)
        for number, each in enumerate(planted.garden.askings)
    )
    assert len(set().union(*sent.values())) >= 2_000
    statuses = {status for _, status, _ in planted.garden.answers}
    assert {200, 201, 401, 404, 409, 422} <= statuses
    assert not [asking for asking, status, _ in planted.garden.answers if status >= 500]
    assert planted.commands > 40


async def test_nothing_is_in_the_database(planted: Planted) -> None:
    settings = planted.house.settings
    assert planted.scanner.places(await gathered(tables_of(settings))) == {}
    assert planted.scanner.places(await gathered(statements_of(settings))) == {}


async def test_nothing_is_in_the_files_of_the_database_or_its_log_of_changes(planted: Planted) -> None:
    settings = planted.house.settings
    assert planted.scanner.places(await gathered(server_files_of(settings))) == {}
    assert planted.scanner.places(await gathered(changes_of(settings))) == {}


async def test_nothing_is_in_redis_its_files_or_results_of_jobs(planted: Planted) -> None:
    kept = await gathered(redis_of(planted.house.redis_url))
    assert {"redis file dump.rdb", "redis slowlog"} <= {place for place, _ in kept}
    assert any("appendonly" in place for place, _ in kept)
    assert planted.scanner.places(kept) == {}
    assert not [content for place, content in kept if place == "redis key" and b"arq:result" in content]


async def test_nothing_is_in_a_log(planted: Planted) -> None:
    kept = list(logs_of(planted.house.log))
    assert {"api.log", "postgres.log", "redis.log", "worker.log"} <= {place for place, _ in kept}
    assert planted.scanner.places(kept) == {}
    assert dict(kept)["api.log"].count(b"request.answered") >= len(planted.garden.askings)


async def test_nothing_is_in_an_answer(planted: Planted) -> None:
    """But the name of a field that does not exist, to whoever sent it, where it looks like one of ours."""
    answers = planted.garden.answers
    found = planted.scanner.places((str(number), told) for number, (_, _, told) in enumerate(answers))
    leaks = {answers[int(at)][0]: hits - answers[int(at)][0].named for at, hits in found.items()}
    assert {asking: hits for asking, hits in leaks.items() if hits} == {}


async def test_nothing_is_in_the_figures_of_the_service(planted: Planted) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        figures = (await http.get(planted.house.figures)).content
    assert b"relais_requests_total" in figures
    assert planted.scanner.found(figures) == set()


def test_nothing_is_in_what_is_exported(planted: Planted, tmp_path: Path) -> None:
    kept = list(exported(planted.house, planted.supply, tmp_path))
    assert planted.scanner.places(kept) == {}


async def test_the_address_was_kept_and_can_be_opened_with_the_key(planted: Planted) -> None:
    settings = planted.house.settings
    engine = connect(settings, "test")
    async with transaction(engine) as tx:
        kept = await read_address(tx, UUID(planted.garden.site_id), Vault.of_file(settings.address_key_file))
    await engine.dispose()
    assert kept == Address(planted.address, planted.address)


async def test_control_what_is_written_into_a_row_is_found_in_each_place_of_the_database(planted: Planted) -> None:
    settings = planted.house.settings
    mine = words.strings(60)
    scanner = Scanner(mine)
    connection = await asyncpg.connect(listening_address(settings))
    try:
        await connection.execute("create table control (word text, packed bytea)")
        for word in mine:
            rows = [(word, word.encode("utf-16-le"))] * 50
            await connection.executemany("insert into control values ($1, $2)", rows)
        await connection.execute(f"select '{mine[0]}'")  # the last statement of a session that waits
        tables = scanner.places(await gathered(tables_of(settings)))
        assert tables["table control"] == set(mine)
        assert tables["table pg_statistic"]
        assert scanner.places(await gathered(statements_of(settings)))["view pg_stat_activity"] == {mine[0]}
        files = scanner.places(await gathered(server_files_of(settings)))
        assert set().union(*(hits for place, hits in files.items() if place.startswith("base/"))) == set(mine)
        assert set().union(*scanner.places(await gathered(changes_of(settings))).values()) == set(mine)
        await connection.execute("drop table control")
        await connection.execute(f"do $$ begin raise log '{mine[1]}'; end $$")
    finally:
        await connection.close()
    assert scanner.places(logs_of(planted.house.log)) == {"postgres.log": {mine[1]}}


async def test_control_what_is_written_into_redis_is_found_in_each_of_its_places(planted: Planted) -> None:
    as_value, as_key, as_field = mine = words.strings(3)
    async with Redis.from_url(planted.house.redis_url) as redis:
        await redis.set("control", as_value)
        await redis.set(as_key, "1")
        await redis.hset("control:hash", as_field, "1")
    scanner = Scanner(mine)
    found = scanner.places(await gathered(redis_of(planted.house.redis_url)))
    assert found.pop("redis key") == set(mine)
    assert found.pop("redis slowlog") == set(mine)
    assert found.pop("redis file dump.rdb") == set(mine)
    assert set().union(*(hits for place, hits in found.items() if "appendonly" in place)) == set(mine)


async def test_control_what_is_written_into_a_log_a_figure_or_an_answer_is_found(planted: Planted) -> None:
    in_log, in_figure, in_name = mine = [each for each in words.strings(60) if each.isascii()][:3]
    scanner = Scanner(mine)
    with (planted.house.log / "api.log").open("a") as log:
        log.write(f'{{"event": "request.answered", "route": "/v1/{in_log}"}}\n')
    assert scanner.places(logs_of(planted.house.log)) == {"api.log": {in_log}}
    metrics = Metrics()
    metrics.answered(in_figure, "GET", 200, 0.1)
    assert scanner.found(generate_latest(metrics.registry)) == {in_figure}
    headers = {"Authorization": f"Bearer {planted.garden.key}", "If-Match": "*"}
    async with httpx.AsyncClient(base_url=planted.house.url, headers=headers, trust_env=False) as http:
        site = f"/v1/sites/{planted.garden.site_id}"
        kept = (await http.patch(site, json={"name": in_name})).content
        await http.patch(site, json={"name": "Gym"})
    assert scanner.found(kept) == {in_name}
