"""What an organization does through the API is in its chain: who in which role, what, on what; never what was said."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit
from db.connection import snapshot
from db.linking import link_acts
from db.settings import Settings
from tests.api.bodies import need_body, site_body
from tests.api.conftest import Organization
from tests.api.scenes import open_offer, place
from tests.db.acts import rows


async def acts(engine: AsyncEngine, organization: UUID) -> list[tuple[str, str, str, list[UUID]]]:
    await link_acts(engine)
    found = await rows(
        engine,
        "select role, scope, act, objects from audit_entry where organization_id = :id order by number",
        id=organization,
    )
    return [(row.role, row.scope, row.act, row.objects) for row in found]


async def test_every_act_is_written_down_with_its_object(
    municipality: Organization, coordination: Organization, engine: AsyncEngine, settings: Settings
) -> None:
    offer = await open_offer(municipality)
    need = await place(engine, coordination)
    allocation = need["allocations"][0]["id"]
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    site = (await rows(engine, "select site_id from offer"))[0].site_id
    assert await acts(engine, municipality.id) == [
        ("municipality", "offers:write", "POST /v1/sites", [site]),
        ("municipality", "offers:write", "POST /v1/offers", [UUID(offer)]),
        (
            "municipality",
            "allocations:write",
            "POST /v1/allocations/{allocation_id}/confirm",
            [UUID(allocation)],
        ),
    ]
    assert await acts(engine, coordination.id) == [
        ("coordination", "needs:write", "POST /v1/needs", [UUID(need["id"])])
    ]
    async with snapshot(engine) as tx:
        found = await audit.verify(tx, settings.keys().of("audit"))
    assert found == {municipality.id: [], coordination.id: []}


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "urn:uuid:{}", "upper", "bare"])
async def test_the_object_is_named_however_its_id_was_written(
    municipality: Organization, coordination: Organization, engine: AsyncEngine, form: str
) -> None:
    await open_offer(municipality)
    allocation = (await place(engine, coordination))["allocations"][0]["id"]
    written = {"upper": allocation.upper(), "bare": allocation.replace("-", "")}.get(form, form.format(allocation))
    confirmed = await municipality.http.post(f"/v1/allocations/{written}/confirm")
    assert confirmed.status_code == 200, confirmed.text
    assert (await acts(engine, municipality.id))[-1][2:] == (
        "POST /v1/allocations/{allocation_id}/confirm",
        [UUID(allocation)],
    )


async def test_a_batch_is_one_act_on_many_needs(coordination: Organization, engine: AsyncEngine) -> None:
    posted = await coordination.http.post("/v1/needs/batch", json={"needs": [need_body(), need_body()]})
    assert posted.status_code == 201, posted.text
    ((_, _, act, objects),) = await acts(engine, coordination.id)
    assert act == "POST /v1/needs/batch"
    assert len(objects) == 2


async def test_what_was_refused_read_or_sent_again_is_no_act(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    await coordination.http.get("/v1/needs")
    await coordination.http.post("/v1/needs", json=need_body(category="palace"))
    await coordination.http.post("/v1/sites", json=site_body())
    assert await acts(engine, coordination.id) == []
    for _ in range(3):
        await coordination.http.post("/v1/needs", json=need_body(), headers={"Idempotency-Key": "once"})
    assert len(await acts(engine, coordination.id)) == 1
    assert await acts(engine, municipality.id) == []
