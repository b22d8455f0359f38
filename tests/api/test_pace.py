"""Limits: with Redis, without it and when it goes; the same for codes that exist and codes that do not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest
from redis.asyncio import Redis
from starlette.requests import Request

from api.app import create
from api.clients import hidden_client, networks
from api.pace import Bucket, LocalBuckets, Pace, Rate, SharedBuckets
from api.problems import RateLimited
from api.settings import ApiSettings
from db.settings import Settings
from tests.api.bodies import need_body
from tests.api.conftest import JoinNetwork
from tests.api.scenes import post_need

UNKNOWN = "K7QF4-2MRX9-TDWA{}"
AWAY = "redis://127.0.0.1:1/0"
SLOW = Rate(3, 3600)


def bucket(rate: Rate = SLOW) -> Bucket:
    return Bucket(f"test:{uuid4()}", rate)


@pytest.fixture(params=["redis", "own"])
async def buckets(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[SharedBuckets | LocalBuckets]:
    if request.param == "own":
        yield LocalBuckets()
        return
    shared = SharedBuckets(settings.redis_url or "")
    yield shared
    await shared.close()


async def test_a_bucket_takes_as_many_as_it_says_and_tells_when_there_is_room(
    buckets: SharedBuckets | LocalBuckets,
) -> None:
    one = bucket()
    assert [await buckets.take([one]) for _ in range(3)] == [0, 0, 0]
    assert 1199 < await buckets.take([one]) <= 1200
    await buckets.give_back([one])
    assert await buckets.take([one]) == 0
    assert await buckets.take([bucket()]) == 0


async def test_of_several_buckets_all_are_taken_or_none(buckets: SharedBuckets | LocalBuckets) -> None:
    small, large = bucket(Rate(1, 3600)), bucket(Rate(2, 3600))
    assert await buckets.take([small, large]) == 0
    for _ in range(5):
        assert await buckets.take([small, large]) > 0
    assert await buckets.take([large]) == 0
    assert await buckets.take([large]) > 0


async def test_many_at_once_get_no_more(buckets: SharedBuckets | LocalBuckets) -> None:
    one = bucket(Rate(7, 3600))
    waits = await asyncio.gather(*(buckets.take([one]) for _ in range(50)))
    assert waits.count(0) == 7


async def test_own_buckets_are_bounded_and_never_open() -> None:
    own = LocalBuckets(most=10)
    for _ in range(10):
        assert await own.take([bucket()]) == 0
    waits = [await own.take([bucket()]) for _ in range(20)]
    assert waits.count(0) == SLOW.count


async def test_redis_keeps_a_bucket_until_it_is_empty_and_no_longer(settings: Settings) -> None:
    shared = SharedBuckets(settings.redis_url or "")
    one = bucket(Rate(10, 600))
    await shared.take([one])
    async with Redis.from_url(settings.redis_url or "") as looking:
        assert 59_000 < await looking.pttl(f"relais:pace:{one.name}") <= 60_001
    await shared.close()


async def test_without_redis_the_limit_holds_all_the_same() -> None:
    for url in (None, AWAY):
        pace, one = Pace(url), bucket()
        for _ in range(3):
            await pace.take([one])
        with pytest.raises(RateLimited):
            await pace.take([one])
        await pace.close()


async def test_a_redis_that_hangs_holds_nobody_up_for_long() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        pace, one = Pace(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"), bucket()
        async with asyncio.timeout(10):
            for _ in range(3):
                await pace.take([one])
            with pytest.raises(RateLimited):
                await pace.take([one])
        await pace.close()


@asynccontextmanager
async def strict(settings: ApiSettings, **limits: object) -> AsyncIterator[httpx.AsyncClient]:
    """A service with its own limits and a secret of nobody else's counts."""
    made = create(settings.model_copy(update={"redis_url": None, **limits}))
    async with made.router.lifespan_context(made):
        transport = httpx.ASGITransport(made, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://relais.test") as http:
            yield http


@pytest.mark.parametrize("redis_url", [None, AWAY])
async def test_a_key_over_its_rate_is_told_when_to_come_again_and_others_are_not_held_up(
    client: JoinNetwork, api_settings: ApiSettings, redis_url: str | None
) -> None:
    hasty, calm = await client(), await client()
    async with strict(api_settings, key_requests_per_minute=3, redis_url=redis_url) as http:
        asked = [
            await http.post("/v1/needs", json=need_body(), headers={"Authorization": f"Bearer {hasty.key}"})
            for _ in range(4)
        ]
        assert [each.status_code for each in asked] == [201, 201, 201, 429]
        assert asked[-1].json()["type"] == "/problems/rate-limited"
        assert 0 < int(asked[-1].headers["retry-after"]) <= 20
        other = await http.get("/v1/me", headers={"Authorization": f"Bearer {calm.key}"})
        assert other.status_code == 200


async def test_wrong_codes_are_counted_by_client_and_a_limit_says_nothing_about_a_code(
    client: JoinNetwork, api_settings: ApiSettings
) -> None:
    posted = await post_need(await client())
    async with strict(api_settings, slip_misses_per_client=3) as http:
        for letter in "234":
            assert (await http.post("/v1/slip", json={"code": UNKNOWN.format(letter)})).status_code == 404
        limited = [
            await http.post("/v1/slip", json={"code": code}) for code in (posted["code"], UNKNOWN.format("7"), "x")
        ]
        assert {each.status_code for each in limited} == {429}
        assert len({each.content for each in limited}) == 1
        page = await http.post("/slip", data={"code": posted["code"]})
        assert page.status_code == 429
        assert int(page.headers["retry-after"]) > 0


async def test_right_codes_use_up_nothing_of_the_limit_for_wrong_ones(
    client: JoinNetwork, api_settings: ApiSettings
) -> None:
    posted = await post_need(await client())
    async with strict(api_settings, slip_misses_per_client=2, slip_misses_in_all=2) as http:
        for _ in range(10):
            assert (await http.post("/v1/slip", json={"code": posted["code"]})).status_code == 200
            refused = await http.post("/v1/slip/refuse", json={"code": posted["code"], "reason": "afraid"})
            assert refused.status_code == 409


async def test_guesses_at_once_get_no_more_than_one_after_the_other(api_settings: ApiSettings) -> None:
    async with strict(api_settings, slip_misses_per_client=5) as http:
        guesses = [http.post("/v1/slip", json={"code": UNKNOWN.format(n)}) for n in range(40)]
        statuses = [each.status_code for each in await asyncio.gather(*guesses)]
        assert statuses.count(404) == 5


async def test_guesses_from_everywhere_meet_a_ceiling(api_settings: ApiSettings) -> None:
    async with strict(api_settings, slip_misses_in_all=5) as http:
        statuses = [
            (
                await http.post(
                    "/v1/slip", json={"code": UNKNOWN.format(n)}, headers={"X-Forwarded-For": f"198.51.100.{n}"}
                )
            ).status_code
            for n in range(10)
        ]
        assert statuses == [404] * 5 + [429] * 5


async def test_one_code_is_asked_for_so_often_whether_it_exists_or_not(
    client: JoinNetwork, api_settings: ApiSettings
) -> None:
    posted = await post_need(await client())
    async with strict(api_settings, slip_requests_per_code=3) as http:
        for code, found in ((posted["code"], 200), (UNKNOWN.format("H"), 404)):
            written = [code, code.lower(), code.replace("-", " "), code]
            statuses = [(await http.post("/v1/slip", json={"code": each})).status_code for each in written]
            assert statuses == [found] * 3 + [429]


async def test_redis_holds_no_address_and_no_code(client: JoinNetwork, api_settings: ApiSettings) -> None:
    posted = await post_need(await client())
    limits = {"slip_misses_per_client": 20, "slip_misses_in_all": 60, "slip_requests_per_code": 30}
    async with strict(api_settings, redis_url=api_settings.redis_url, **limits) as http:
        for code in (posted["code"], UNKNOWN.format("A")):
            await http.post("/v1/slip", json={"code": code}, headers={"X-Forwarded-For": "203.0.113.77"})
    async with Redis.from_url(api_settings.redis_url or "") as looking:
        names = [name.decode() for name in await looking.keys("relais:pace:slip:*")]
        lives = [await looking.pttl(name) for name in names]
    assert names
    assert all(0 < life <= 600_001 or life == -2 for life in lives)
    told = " ".join(names)
    for secret in ("203.0.113.77", "127.0.0.1", posted["code"], posted["code"].replace("-", ""), posted["id"]):
        assert secret not in told
    assert UUID(posted["id"]).hex not in told


PROXIES = networks("10.0.0.0/8,2001:db8::/32")


def seen(host: str, forwarded: str | None = None) -> str:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded is not None else []
    request = Request({"type": "http", "headers": headers, "client": (host, 1)})
    return hidden_client(request, PROXIES, bytes(32))


def test_what_a_client_writes_about_itself_is_not_believed() -> None:
    assert seen("198.51.100.1", "192.0.2.9") == seen("198.51.100.1")
    assert seen("10.0.0.1", "6.6.6.6, 198.51.100.1") == seen("198.51.100.1")
    assert seen("10.0.0.1", "198.51.100.1, 10.0.0.2") == seen("198.51.100.1")
    assert seen("10.0.0.1", "nonsense") == seen("10.0.0.1")
    assert seen("10.0.0.1", "") == seen("10.0.0.1")


def test_an_ipv6_client_is_its_network_and_a_mapped_one_is_ipv4() -> None:
    assert seen("2a01:e0a::1") == seen("2a01:e0a::ffff:1")
    assert seen("2a01:e0a:0:1::1") != seen("2a01:e0a:0:2::1")
    assert seen("::ffff:198.51.100.1") == seen("198.51.100.1")
