"""`GET /v1/me`: a client learns whose key it has and what it may do."""

from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.places import BRIANCON, OULX


async def test_a_key_tells_its_organization_its_towns_and_its_rights(client: JoinNetwork) -> None:
    town_hall = await client(OrganizationKind.MUNICIPALITY, towns=(OULX.id, BRIANCON.id))
    answer = await town_hall.http.get("/v1/me")
    assert answer.status_code == 200
    told = answer.json()
    assert told.pop("key_expires_at").endswith("Z")
    assert told == {
        "id": str(town_hall.id),
        "kind": "municipality",
        "name": "A municipality",
        "self_organized": False,
        "towns": sorted((BRIANCON.id, OULX.id)),
        "scopes": sorted(
            [
                "needs:read",
                "notifications:write",
                "needs:write",
                "offers:read",
                "offers:write",
                "allocations:confirm",
                "allocations:read",
                "allocations:write",
                "calendar:read",
                "pacts:read",
                "pacts:write",
                "webhooks:write",
            ]
        ),
    }


async def test_a_coordination_may_not_write_offers(coordination: Organization) -> None:
    answer = await coordination.http.get("/v1/me")
    assert "offers:write" not in answer.json()["scopes"]


async def test_every_object_has_a_version(coordination: Organization) -> None:
    assert (await coordination.http.get("/v1/me")).headers["etag"] == '"1"'
