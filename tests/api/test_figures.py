"""Figures for those who watch: on a port of their own, true, bounded in what they cost, and told to nobody else."""

import re
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction
from db.settings import Settings
from relais.embedded.ports import free_port
from tests.api.conftest import Serving
from tests.api.test_life import key, locked
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

__all__ = ["key"]

Figures = dict[str, float]


async def figures(port: int) -> Figures:
    """What is shown, by name and labels."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        page = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def seen(port: int, what: Callable[[Figures], bool], words: str) -> Figures:
    """The figures, once they are so."""

    async def look() -> Figures | None:
        found = await figures(port)
        return found if what(found) else None

    return await eventually(look, words)


async def test_they_say_how_the_house_is_doing(engine: AsyncEngine, serving: Serving) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx), capacity=2)
        poster = await add_organization(tx)
        held = await add_need(tx, poster, people=2)
        parked, due, unmet = [await add_need(tx, poster, people=9) for _ in range(3)]
    await hold(engine, held)
    async with transaction(engine) as tx:
        for statement, need in (
            ("update need set parked_at = now() where id = :id", parked),
            ("update need set look_at = now() - interval '1 hour' where id = :id", due),
            ("update need set state = 'unmet', look_at = now() + interval '1 hour' where id = :id", unmet),
            ("update allocation set held_until = now() - interval '1 minute' where need_id = :id", held),
        ):
            await tx.execute(text(statement), {"id": need})
    port = free_port()
    async with serving(metrics_port=port) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/metrics")).status_code == 404
        found = await figures(port)
    assert found["relais_database_up"] == 1
    assert found["relais_needs_due"] == 1
    assert found["relais_oldest_due_seconds"] >= 3600
    assert found["relais_oldest_overdue_hold_seconds"] >= 60
    assert (found["relais_needs_open"], found["relais_needs_held"], found["relais_needs_unmet"]) == (2, 1, 1)
    assert found["relais_needs_parked"] == 1
    assert found["relais_pool_size"] == 8
    assert found["relais_requests_total method=GET route=/readyz status=200"] >= 1


async def test_an_event_that_an_older_transaction_holds_back_shows_as_lag(
    engine: AsyncEngine, serving: Serving
) -> None:
    async with engine.connect() as holder:
        await holder.execute(text("select pg_current_xact_id()"))
        async with transaction(engine) as tx:
            await add_need(tx, await add_organization(tx))
            await tx.execute(
                text(
                    "insert into event (kind, object_id, organizations, at)"
                    " values ('need.posted', gen_random_uuid(), '{}', now() - interval '1 hour')"
                )
            )
        port = free_port()
        async with serving(metrics_port=port):
            assert (await figures(port))["relais_feed_lag_seconds"] >= 3600
            await holder.rollback()
            await seen(port, lambda found: found["relais_feed_lag_seconds"] == 0, "nothing is held back any more")


async def test_the_database_may_not_answer_and_the_rest_is_shown(settings: Settings, serving: Serving) -> None:
    port = free_port()
    async with serving(metrics_port=port) as http:
        await http.get("/readyz")
        async with locked(settings, "need"):
            found = await figures(port)
            assert found["relais_database_up"] == 0
            assert "relais_needs_open" not in found
            assert found["relais_requests_total method=GET route=/readyz status=200"] >= 1
        await seen(port, lambda found: found["relais_database_up"] == 1, "it answers again")


async def test_a_worker_shows_its_looks(start_worker: StartWorker) -> None:
    port = free_port()
    start_worker(RELAIS_METRICS_PORT=str(port))

    async def shown() -> bool:
        try:
            found = await figures(port)
        except httpx.TransportError:
            return False
        return found.get("relais_worker_looks_total end=well look=match", 0) > 0

    await eventually(shown, "the worker looks", 180)


async def test_a_port_that_is_taken_keeps_nobody_from_being_served(
    capfd: pytest.CaptureFixture[str], serving: Serving
) -> None:
    port = free_port()
    async with serving(metrics_port=port):
        assert "figures.not_shown" not in capfd.readouterr().err
        async with serving(metrics_port=port) as second:
            assert (await second.get("/readyz")).status_code == 200
        assert "figures.not_shown" in capfd.readouterr().err


async def test_labels_are_of_closed_lists(key: str, serving: Serving) -> None:
    port = free_port()
    async with serving(key, metrics_port=port) as http:
        await http.get("/v1/needs/5f0c3c0e-7a39-4a2d-9d0b-0d7a8d7d1c11")
        await http.request("STRANGE", "/v1/amina-diallo")
        labels = {part for name in await figures(port) for part in name.split(" ")[1:]}
    assert {part.partition("=")[0] for part in labels} <= {"route", "method", "status", "le", "by"}
    assert not [part for part in labels if re.search(r"[0-9a-f]{8}-|amina|STRANGE", part)]
