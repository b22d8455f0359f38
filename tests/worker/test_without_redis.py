"""The bell may be broken: with Redis stopped a need posted over HTTP is held within seconds, and no POST fails."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys, organizations
from db.connection import transaction
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from relais.embedded import Stack, running_stack
from relais.embedded.ports import free_port
from tests.builders import add_offer, tonight
from tests.conftest import ROOT, environment_of
from tests.places import BRIANCON
from tests.waiting import eventually
from tests.worker.conftest import StartWorker


@pytest.fixture
def own_redis(tmp_path: Path, settings: Settings) -> Iterator[Stack]:
    """A Redis of the test's own, that it may stop."""
    root = tmp_path / "stack"
    with running_stack(
        root, tell=print, packages=ROOT / ".relais" / "packages", database_url=settings.database_url
    ) as stack:
        yield stack


@contextmanager
def serving(settings: Settings, redis_url: str, log: Path) -> Iterator[str]:
    """A real API process: its address."""
    port = free_port()
    given = environment_of(settings.model_copy(update={"redis_url": redis_url}))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--factory", "api.app:create", "--port", str(port)],
            cwd=ROOT,
            env=given,
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        print(log.read_text())


async def test_with_redis_stopped_needs_posted_over_http_are_held_and_no_post_fails(
    engine: AsyncEngine, settings: Settings, own_redis: Stack, start_worker: StartWorker, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        town_hall = await organizations.add(tx, OrganizationKind.MUNICIPALITY, "Town hall", [BRIANCON.id])
        await add_offer(tx, town_hall, capacity=40)
        key = await keys.issue(tx, town_hall, settings.keys().of("api-key"))
    starts, ends = tonight()
    body = {
        "category": "shelter",
        "town": BRIANCON.id,
        "people": {"adults": 1},
        "from": starts.isoformat(),
        "until": ends.isoformat(),
        "urgency": "vital",
    }
    start_worker(RELAIS_REDIS_URL=own_redis.redis_url)
    with serving(settings, own_redis.redis_url, tmp_path / "api.log") as url:
        headers = {"Authorization": f"Bearer {key.text}", "Prefer": "wait=5"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, "the API ready")
            before = await http.post("/v1/needs", json=body)
            assert own_redis.redis is not None
            own_redis.redis.kill()
            without = [await http.post("/v1/needs", json=body) for _ in range(10)]
            still_ready = await ready()
    assert [answer.status_code for answer in (before, *without)] == [201] * 11
    assert [answer.json()["state"] for answer in (before, *without)] == ["held"] * 11
    assert still_ready
