"""Who plants: an organization that sends every request there is, while the worker works, and keeps what it is told."""

import asyncio
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text

from db import keys, organizations
from db.connection import connect, transaction
from matching.vocabulary import OrganizationKind
from tests.api.bodies import (
    channel_body,
    need_body,
    offer_body,
    pathway_body,
    pledge_body,
    practice_body,
    project_body,
    site_body,
    webhook_body,
)
from tests.api.documented import Operation, described
from tests.places import BRIANCON
from tests.protection.house import OwnHouse
from tests.protection.inputs import Asking, Known, Supply, forms, planted_in, strays
from tests.waiting import eventually

__all__ = ["Garden", "plant_everywhere"]

_AT_ONCE = 8


@dataclass
class Garden:
    """What was planted and what was answered: with its request, the head and the body of each answer."""

    askings: list[Asking] = field(default_factory=list)
    answers: list[tuple[Asking, int, bytes]] = field(default_factory=list)
    organization_id: str = ""
    key: str = ""
    site_id: str = ""


_NEVER = """
    create function never() returns trigger language plpgsql as $$
    begin
        new.try_at := 'infinity';
        return new;
    end $$
"""
_ALWAYS = "create trigger never before insert or update on webhook for each row execute function never()"


async def plant_everywhere(house: OwnHouse, supply: Supply, address: str) -> Garden:
    """Plant in every input; the address stands at a site at which a party stays."""
    garden = Garden()
    await _tell_nobody(house)
    garden.organization_id, garden.key = await _join(house, OrganizationKind.ASSOCIATION)
    async with httpx.AsyncClient(base_url=house.url, timeout=60, trust_env=False) as http:
        known = await _things(http, garden, address)
        operations = described((await http.get("/openapi.json")).json())
        # What there is stays there until everything was asked of it.
        for operation in sorted(operations, key=lambda each: each.method == "DELETE"):
            garden.askings += planted_in(operation, known, supply)
        garden.askings += strays(supply)
        garden.askings += forms(str(known.ids["code"]), str(known.ids["place"]), supply)
        waiting = iter(garden.askings)
        await asyncio.gather(*(_ask(http, garden, waiting, garden.key) for _ in range(_AT_ONCE)))
        await _describe(http, garden, address)
        _, other = await _join(house, OrganizationKind.COORDINATION)
        await _ask(http, garden, _everything_read(operations, known), other)
    await asyncio.to_thread(_garble, house, supply)
    return garden


async def _tell_nobody(house: OwnHouse) -> None:
    """Webhooks are kept from being told: the house's worker is a real one, and would ask for their names outside."""
    engine = connect(house.settings, "test")
    async with transaction(engine) as tx:
        await tx.execute(text(_NEVER))
        await tx.execute(text(_ALWAYS))
    await engine.dispose()


async def _join(house: OwnHouse, kind: OrganizationKind) -> tuple[str, str]:
    engine = connect(house.settings, "test")
    async with transaction(engine) as tx:
        one = await organizations.add(tx, kind, f"A {kind}", (BRIANCON.id,))
        key = await keys.issue(tx, one, house.settings.keys().of("api-key"))
    await engine.dispose()
    return str(one), key.text


async def _describe(http: httpx.AsyncClient, garden: Garden, address: str) -> None:
    headers = {"Authorization": f"Bearer {garden.key}", "If-Match": "*"}
    body = {"address": address, "meeting_point": address}
    answer = await http.put(f"/v1/sites/{garden.site_id}/address", json=body, headers=headers)
    assert answer.is_success, answer.text


def _everything_read(operations: Iterable[Operation], known: Known) -> Iterator[Asking]:
    """What somebody else may ask for who knows every id."""
    for operation in operations:
        if operation.method == "GET":
            query = (("q", "Bri"),) if "q" in operation.query else ()
            yield Asking(frozenset(), "GET", operation.at(known.ids), query)


async def _things(http: httpx.AsyncClient, garden: Garden, address: str) -> Known:
    """A site with its address, an offer, a need that has a place there, a pledge: made as organizations make them."""

    async def made(path: str, body: dict[str, object]) -> dict[str, object]:
        answer = await http.post(path, json=body, headers={"Authorization": f"Bearer {garden.key}"})
        assert answer.is_success, answer.text
        return dict(answer.json())

    site = str((await made("/v1/sites", site_body()))["id"])
    garden.site_id = site
    await _describe(http, garden, address)
    offer = str((await made("/v1/offers", offer_body(site, capacity=400, confirmation="standing")))["id"])
    need = await made("/v1/needs", need_body())

    async def confirmed() -> str | None:
        read = await http.get(f"/v1/needs/{need['id']}", headers={"Authorization": f"Bearer {garden.key}"})
        return next((str(each["id"]) for each in read.json()["allocations"]), None)

    allocation = await eventually(confirmed, "the need has a place", 30)
    slots = await http.get(f"/v1/offers/{offer}/slots", headers={"Authorization": f"Bearer {garden.key}"})
    pledge = str((await made("/v1/pledges", pledge_body()))["id"])
    pathway = str((await made("/v1/pathways", pathway_body()))["id"])
    project = str((await made("/v1/projects", project_body()))["id"])
    practice = str((await made("/v1/practices", practice_body()))["id"])
    hook = str((await made("/v1/webhooks", webhook_body()))["id"])
    channel = str((await made("/v1/notifications/channels", channel_body()))["id"])
    ids = {
        "channel_id": channel,
        "webhook_id": hook,
        "delivery_id": uuid4(),
        "site_id": site,
        "offer_id": offer,
        "service_id": offer,
        "organization_id": uuid4(),
        "slot_id": slots.json()["items"][-1]["id"],
        "need_id": need["id"],
        "allocation_id": allocation,
        "pledge_id": pledge,
        "practice_id": practice,
        "pathway_id": pathway,
        "project_id": project,
        "shift_id": uuid4(),
        "pact_id": uuid4(),
        "referral_id": uuid4(),
        "town_id": BRIANCON.id,
        "town": BRIANCON.id,
        "code": need["code"],
        "place": allocation,
    }
    bodies: dict[str, dict[str, Any]] = {
        "POST /v1/sites": site_body(),
        "POST /v1/offers": offer_body(site, capacity=2),
        "POST /v1/needs": need_body(),
        "POST /v1/pathways": pathway_body(),
        "POST /v1/projects": project_body(),
        "POST /v1/pledges": pledge_body(),
        "POST /v1/practices": practice_body(),
        "PATCH /v1/practices/{practice_id}": {"places": 40},
        "POST /v1/webhooks": webhook_body(),
        "POST /v1/notifications/channels": channel_body(),
        "PUT /v1/notifications": {
            "language": "fr",
            "timezone": "Europe/Paris",
            "quiet_from": "22:00",
            "quiet_until": "06:00",
        },
        "PATCH /v1/needs/{need_id}": {"max_km": 30},
        "PATCH /v1/sites/{site_id}": {"provides": ["showers"]},
        "PATCH /v1/offers/{offer_id}": {"party_max": 8},
        "PATCH /v1/pledges/{pledge_id}": {"headcount": 5},
    }
    texts = {name: str(value) if isinstance(value, UUID) else value for name, value in ids.items()}
    return Known(texts, bodies)


async def _ask(http: httpx.AsyncClient, garden: Garden, waiting: Iterator[Asking], key: str) -> None:
    for asking in waiting:
        headers = [(name.encode(), value.encode()) for name, value in asking.headers]
        given = {name.lower() for name, _ in asking.headers}
        if "authorization" not in given:
            headers.append((b"Authorization", f"Bearer {key}".encode()))
        async with http.stream(asking.method, asking.url, headers=headers, content=asking.content) as answer:
            head = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
            garden.answers.append((asking, answer.status_code, head + b"\n\n" + await _content(answer)))


async def _content(answer: httpx.Response) -> bytes:
    """All of an answer; of one without an end what it begins with."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return await anext(answer.aiter_bytes())
    return await answer.aread()


def _garble(house: OwnHouse, supply: Supply) -> None:
    """What is no HTTP at all."""
    port = httpx.URL(house.url).port or 80
    for said in (
        f"{supply.any()}\r\n\r\n",
        f"GET /{supply.any()} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{supply.any()}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{supply.any()}: 1\r\n\r\n",
        f"POST /v1/slip HTTP/1.1\r\nHost: a\r\nContent-Length: {supply.any()}\r\n\r\n",
        f"POST /v1/slip HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{supply.any()}\r\n",
        f"POST /v1/slip HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{supply.any()}",
    ):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(said.encode())
            line.shutdown(socket.SHUT_WR)
            while line.recv(65_536):
                pass
