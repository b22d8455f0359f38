"""The doorbell's Redis dies and sentinels promote another: rings are heard again, and no request failed meanwhile."""

from collections.abc import Iterator

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.pace import Bucket, Rate, SharedBuckets
from db import keys, organizations
from db.connection import transaction
from db.reaching_redis import open_redis
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body
from tests.api.processes import StartApi, start_api
from tests.builders import add_offer
from tests.places import BRIANCON
from tests.waiting import eventually
from tests.worker.conftest import StartWorker
from tests.worker.sentinels import WatchedRedis, a_watched_redis

__all__ = ["start_api"]


@pytest.fixture(scope="module")
def redis() -> Iterator[WatchedRedis]:
    with a_watched_redis() as redis:
        yield redis


async def test_the_bell_goes_on_after_a_promotion_and_no_post_fails_meanwhile(
    engine: AsyncEngine, settings: Settings, start_api: StartApi, start_worker: StartWorker, redis: WatchedRedis
) -> None:
    """The worker hears Redis alone, and looks by itself once a minute only."""
    async with transaction(engine) as tx:
        town_hall = await organizations.add(
            tx, OrganizationKind.MUNICIPALITY, "Municipality of Briançon", [BRIANCON.id]
        )
        await add_offer(tx, town_hall, capacity=10_000)
        key = await keys.issue(tx, town_hall, settings.keys().of("api-key"))
    api = start_api(RELAIS_REDIS_URL=redis.url)
    worker = start_worker(RELAIS_REDIS_URL=redis.url, RELAIS_LISTEN="false", RELAIS_POLL_SECONDS="60")
    await api.answers(200)
    headers = {"Authorization": f"Bearer {key.text}"}
    async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=20, trust_env=False) as http:
        await _rung_and_heard(http, redis.url)
        redis.kill_the_leader()

        async def goes_on() -> bool:
            await _post(http)
            return await _counts_together(redis.url)

        await eventually(goes_on, "another one leads")
        await _rung_and_heard(http, redis.url)
    assert worker.poll() is None
    assert not await _counts_together(redis.first_url), "the negative control: who knows one server alone has lost it"


async def _rung_and_heard(http: httpx.AsyncClient, url: str) -> None:
    """Needs are posted, none in vain, until the server that leads has taken a ring and the worker has fetched one."""
    leader = open_redis(url, 5, Redis)
    await leader.config_resetstat()

    async def both() -> bool:
        await _post(http)
        done = await leader.info("commandstats")
        # As arq puts a job into its queue, and takes out one that is done.
        return {"cmdstat_zadd", "cmdstat_zrem"} <= set(done)

    await eventually(both, "rung and heard")
    await leader.aclose()


async def _post(http: httpx.AsyncClient) -> None:
    posted = await http.post("/v1/needs", json=need_body(people={"adults": 1, "minors": 0}))
    assert posted.status_code == 201, posted.text


async def _counts_together(url: str) -> bool:
    """Whether rates are counted where all processes see them."""
    buckets = SharedBuckets(url)
    try:
        await buckets.take([Bucket("test", Rate(10, 1.0))])
    except RedisError:
        return False
    finally:
        await buckets.close()
    return True
