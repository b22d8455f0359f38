"""Pacts as towns make them: proposed, signed by both, renewed, ended with notice, and seen by nobody else."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import pacts
from db.connection import transaction
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.hearing import hears
from tests.builders import TONIGHT
from tests.db.acts import rows
from tests.pacts import terms_body
from tests.places import BRIANCON, GAP, OULX

Json = dict[str, Any]
DAY = timedelta(days=1)


@pytest.fixture
async def briancon(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))


@pytest.fixture
async def gap(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))


def body(partner: Organization, **changes: object) -> Json:
    terms = terms_body(**changes)
    return {"town": BRIANCON.id, "partner": str(partner.id), "partner_town": GAP.id, "terms": terms}


async def proposed(by: Organization, to: Organization, **changes: object) -> Json:
    answer = await by.http.post("/v1/pacts", json=body(to, **changes))
    assert answer.status_code == 201, answer.text
    pact: Json = answer.json()
    assert answer.headers["Location"] == f"/v1/pacts/{pact['id']}"
    return pact


async def asked(who: Organization, path: str, **json: object) -> Json:
    answer = await who.http.post(path, json=json or None)
    assert answer.is_success, answer.text
    pact: Json = answer.json()
    return pact


async def refused(who: Organization, path: str, **json: object) -> tuple[int, object]:
    answer = await who.http.post(path, json=json or None)
    told = answer.json()
    return answer.status_code, told.get("reason") or [(each["at"], each["code"]) for each in told.get("errors", ())]


async def test_a_pact_is_in_force_once_both_have_signed_it(briancon: Organization, gap: Organization) -> None:
    pact = await proposed(briancon, gap)
    path = f"/v1/pacts/{pact['id']}"
    assert (pact["state"], pact["in_force"]) == ("proposed", None)
    assert [each["organization_id"] for each in pact["versions"][0]["signatures"]] == [str(briancon.id)]
    again = await asked(briancon, f"{path}/sign", number=1)
    assert again == pact, "who proposes has signed, and cannot sign for the other"
    signed = await asked(gap, f"{path}/sign", number=1)
    assert (signed["state"], signed["in_force"], len(signed["versions"][0]["signatures"])) == ("signed", 1, 2)
    for who in (briancon, gap):
        read = await who.http.get(path)
        assert read.json() == signed
        assert read.headers["ETag"] == f'"{signed["version"]}"'
        listed = await who.http.get("/v1/pacts")
        assert [each["id"] for each in listed.json()["items"]] == [pact["id"]]


async def test_new_terms_replace_the_old_from_their_first_day_once_both_have_signed(
    briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    pact = await proposed(briancon, gap, last_day=(TONIGHT + 30 * DAY).isoformat())
    path = f"/v1/pacts/{pact['id']}"
    await asked(gap, f"{path}/sign", number=1)
    later = terms_body(first_day=(TONIGHT + 20 * DAY).isoformat(), to_partner_per_week=3)
    renewed = await asked(gap, f"{path}/versions", terms=later)
    assert (renewed["in_force"], renewed["versions"][1]["agreed_at"]) == (1, None)
    assert (await asked(briancon, f"{path}/sign", number=2))["in_force"] == 1
    # As on the first day of the new terms: the old ones would last ten days more.
    await rows(engine, "update pact_version set first_day = first_day - 30, last_day = last_day - 15")
    assert (await briancon.http.get(path)).json()["in_force"] == 2
    await rows(engine, "update pact_version set last_day = current_date - 2 where number = 2")
    assert (await briancon.http.get(path)).json()["in_force"] is None, "what was replaced does not come back"


async def test_only_the_newest_terms_can_be_signed(briancon: Organization, gap: Organization) -> None:
    pact = await proposed(briancon, gap)
    path = f"/v1/pacts/{pact['id']}"
    await asked(briancon, f"{path}/versions", terms=terms_body(to_partner_per_week=5))
    assert await refused(gap, f"{path}/sign", number=1) == (409, "not_the_newest_version")
    assert await refused(gap, f"{path}/sign", number=3) == (422, [("/number", "unknown_version")])
    assert (await asked(gap, f"{path}/sign", number=2))["in_force"] == 2


async def test_ending_early_needs_notice_and_both_may_end_it_at_once(
    briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    one, other = await proposed(briancon, gap, notice_days=30), await proposed(briancon, gap)
    for pact in (one, other):
        await asked(gap, f"/v1/pacts/{pact['id']}/sign", number=1)
    path = f"/v1/pacts/{one['id']}"
    noticed = await asked(gap, f"{path}/end")
    assert (noticed["state"], noticed["in_force"], noticed["notice"]["organization_id"]) == ("signed", 1, str(gap.id))
    assert await asked(gap, f"{path}/end") == noticed, "asking twice gives no second notice"
    async with transaction(engine) as tx:
        assert await pacts.end_due(tx, 10) == 0
    await rows(engine, "update pact set ends_at = now() where notice_by is not null")
    assert (await gap.http.get(path)).json()["in_force"] is None
    async with transaction(engine) as tx:
        assert await pacts.end_due(tx, 10) == 1
    assert (await gap.http.get(path)).json()["state"] == "ended"
    assert await refused(gap, f"{path}/versions", terms=terms_body()) == (409, "pact_has_ended")
    assert await refused(gap, f"{path}/sign", number=1) == (409, "pact_has_ended")
    path = f"/v1/pacts/{other['id']}"
    await asked(briancon, f"{path}/end")
    assert (await asked(gap, f"{path}/end"))["state"] == "ended"


async def test_notice_is_not_undone_by_terms_that_were_proposed_before_it(
    briancon: Organization, gap: Organization
) -> None:
    pact = await proposed(briancon, gap)
    path = f"/v1/pacts/{pact['id']}"
    await asked(gap, f"{path}/sign", number=1)
    await asked(briancon, f"{path}/versions", terms=terms_body())
    await asked(briancon, f"{path}/end")
    refused = await gap.http.post(f"{path}/sign", json={"number": 2})
    assert (refused.status_code, refused.json()["reason"]) == (409, "proposed_before_notice")
    assert (await gap.http.get(path)).json()["notice"] is not None


async def test_who_signs_new_terms_after_notice_goes_on(briancon: Organization, gap: Organization) -> None:
    pact = await proposed(briancon, gap)
    path = f"/v1/pacts/{pact['id']}"
    await asked(gap, f"{path}/sign", number=1)
    await asked(gap, f"{path}/end")
    await asked(briancon, f"{path}/versions", terms=terms_body())
    assert (await asked(gap, f"{path}/sign", number=2))["notice"] is None


async def test_a_proposal_that_nobody_signed_is_ended_by_either_at_once(
    briancon: Organization, gap: Organization
) -> None:
    pact = await proposed(briancon, gap)
    assert (await asked(gap, f"/v1/pacts/{pact['id']}/end"))["state"] == "ended"
    for who in (briancon, gap):
        await hears(who, ["pact.proposed", "pact.ended"], "pact.")


async def test_both_hear_of_each_step(briancon: Organization, gap: Organization) -> None:
    pact = await proposed(briancon, gap)
    await asked(gap, f"/v1/pacts/{pact['id']}/sign", number=1)
    await asked(gap, f"/v1/pacts/{pact['id']}/end")
    for who in (briancon, gap):
        await hears(who, ["pact.proposed", "pact.signed", "pact.notice_given"], "pact.")


async def test_only_municipalities_and_coordinations_of_the_towns_make_pacts(
    briancon: Organization, gap: Organization, client: JoinNetwork
) -> None:
    association = await client(OrganizationKind.ASSOCIATION, towns=(BRIANCON.id, GAP.id))
    unknown = (422, [("/partner", "unknown_partner")])
    assert await refused(briancon, "/v1/pacts", **body(association)) == unknown
    assert (
        await refused(briancon, "/v1/pacts", **body(gap) | {"partner": "00000000-0000-4000-8000-000000000000"})
        == unknown
    )
    assert await refused(briancon, "/v1/pacts", **body(gap) | {"partner_town": OULX.id}) == unknown
    assert await refused(association, "/v1/pacts", **body(gap)) == (422, [("/town", "not_your_town")])
    assert await refused(gap, "/v1/pacts", **body(briancon)) == (
        422,
        [("/town", "not_your_town"), ("/partner", "unknown_partner")],
    )
    both = await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id, GAP.id))
    assert await refused(both, "/v1/pacts", **body(both)) == unknown
    same = body(both) | {"partner_town": BRIANCON.id}
    assert await refused(briancon, "/v1/pacts", **same) == (422, [("/partner_town", "same_town")])


async def test_terms_that_are_of_no_use_are_refused_with_every_flaw(briancon: Organization, gap: Organization) -> None:
    assert await refused(
        briancon, "/v1/pacts", **body(gap, to_partner_per_week=0, categories=["shelter", "palace"])
    ) == (422, [("/terms/to_partner_per_week", "nobody_either_way"), ("/terms/categories", "unknown_category")])


async def test_between_two_countries_the_pact_must_say_that_it_crosses_the_border(
    briancon: Organization, client: JoinNetwork
) -> None:
    oulx = await client(OrganizationKind.MUNICIPALITY, towns=(OULX.id,))
    asking = body(oulx) | {"partner_town": OULX.id}
    assert await refused(briancon, "/v1/pacts", **asking) == (422, [("/terms/crosses_border", "border_between_towns")])
    allowed = body(oulx, crosses_border=True) | {"partner_town": OULX.id}
    assert (await briancon.http.post("/v1/pacts", json=allowed)).status_code == 201


async def test_to_everybody_else_a_pact_is_missing(
    briancon: Organization, gap: Organization, client: JoinNetwork
) -> None:
    pact = await proposed(briancon, gap)
    stranger = await client(OrganizationKind.MUNICIPALITY, towns=(BRIANCON.id, GAP.id))
    missing = await stranger.http.get("/v1/pacts/00000000-0000-4000-8000-000000000000")
    shown = await stranger.http.get(f"/v1/pacts/{pact['id']}")
    assert (shown.status_code, shown.content) == (404, missing.content)
    assert (await stranger.http.get("/v1/pacts")).json()["items"] == []
    for act, sent in (("sign", {"number": 1}), ("end", None), ("versions", {"terms": terms_body()})):
        assert (await stranger.http.post(f"/v1/pacts/{pact['id']}/{act}", json=sent)).status_code == 404


async def test_a_proposal_sent_twice_is_made_once(briancon: Organization, gap: Organization) -> None:
    key = {"Idempotency-Key": "winter"}
    answers = [await briancon.http.post("/v1/pacts", json=body(gap), headers=key) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len((await gap.http.get("/v1/pacts")).json()["items"]) == 1


async def test_problems_are_told_in_the_readers_language(briancon: Organization, gap: Organization) -> None:
    said = set()
    for language in ("en", "fr", "it", "es", "ar"):
        answer: httpx.Response = await briancon.http.post(
            "/v1/pacts", json=body(gap, to_partner_per_week=0), headers={"Accept-Language": language}
        )
        said.add(answer.json()["errors"][0]["message"])
    assert len(said) == 5
