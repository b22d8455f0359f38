"""Posted over HTTP to held, through the API and a worker, beside a worker that nobody wakes.

The client is a process of its own on the same two cores. An answer counts once it names the held place.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from multiprocessing import get_context
from os import environ
from pathlib import Path

import uvloop

from bench.lean_client import LeanClient
from bench.open_loop import Latencies, play
from bench.world import NeedRow, World, needs_around
from db import keys, organizations
from db.connection import connect, transaction
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from relais.processes import Processes, choose_port, running_processes

__all__ = ["NOBODY_RINGS", "post_at_rate", "serving"]

NOBODY_RINGS = {"RELAIS_LISTEN": "false", "RELAIS_POLL_SECONDS": "0.5"}
"""A worker that looks every half second and hears nothing in between."""
WARM_UP = 4.0


async def post_at_rate(
    settings: Settings, world: World, *, rate: float, seconds: float, seed: int, worker: Mapping[str, str]
) -> Latencies:
    """Post `rate` needs a second for so many seconds, after a warm-up; `worker` are further settings."""
    key = await _key(settings)
    bodies = [_body(need) for need in needs_around(world, int(rate * (WARM_UP + seconds) * 1.3), seed)]
    loop = asyncio.get_running_loop()
    with serving(settings, worker) as house, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as client:
        return await loop.run_in_executor(client, partial(_client, house.url, key, bodies, rate, seconds, seed))


@contextmanager
def serving(settings: Settings, more: Mapping[str, str] = {}) -> Iterator[Processes]:
    """The API and a worker on these settings and these variables alone, for as long as the block runs."""
    with (
        _no_settings_but_ours(),
        running_processes(choose_port(None), {**_variables(settings, more), **more}, _logs(settings)) as house,
    ):
        yield house


def _client(url: str, key: str, bodies: Sequence[Mapping[str, object]], *load: float) -> Latencies:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_post_all(url, key, bodies, *load))


async def _post_all(
    url: str, key: str, bodies: Sequence[Mapping[str, object]], rate: float, seconds: float, seed: float
) -> Latencies:
    written = [json.dumps(body).encode() for body in bodies]
    async with LeanClient(url, {"Authorization": f"Bearer {key}", "Prefer": "wait=5"}) as client:

        async def post(number: int) -> bool:
            status, answer = await client.post("/v1/needs", written[number])
            return status == HTTPStatus.CREATED and b'"allocations":[{' in answer

        return await play(post, rate=rate, warm_up=WARM_UP, seconds=seconds, seed=int(seed))


async def _key(settings: Settings) -> str:
    engine = connect(settings, "bench")
    async with transaction(engine) as tx:
        poster = await organizations.add(tx, OrganizationKind.COORDINATION, "Coordination")
        issued = await keys.issue(tx, poster, settings.keys().of("api-key"))
    await engine.dispose()
    return issued.text


def _body(need: NeedRow) -> dict[str, object]:
    return {
        "category": "shelter",
        "town": need.town.id,
        "people": {"adults": need.adults, "minors": need.minors},
        "from": need.starts.isoformat(),
        "until": need.ends.isoformat(),
        "urgency": need.urgency,
        "audience": need.audience,
        "requires": need.requires,
    }


def _variables(settings: Settings, worker: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "RELAIS_DATABASE_URL": settings.database_url,
        "RELAIS_SECRET_FILE": str(settings.secret_file),
        "RELAIS_ADDRESS_KEY_FILE": str(settings.address_key_file),
    }
    rings = "RELAIS_LISTEN" not in worker and settings.redis_url
    return {**ours, "RELAIS_REDIS_URL": settings.redis_url} if rings and settings.redis_url else ours


def _logs(settings: Settings) -> Path:
    folder = settings.secret_file.parent / "logs"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _no_settings_but_ours() -> Iterator[None]:
    kept = {name: environ.pop(name) for name in list(environ) if name.startswith("RELAIS_")}
    try:
        yield
    finally:
        environ.update(kept)
