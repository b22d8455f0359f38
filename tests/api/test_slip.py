"""P2 and P3 on the slip: the people see their place and may refuse it; nobody without their code learns anything."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create
from api.settings import ApiSettings
from api.wording import SLIP_LANGUAGES, catalogue
from db.slips import SlipKeys
from matching.states import AllocationState
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import assert_every_place_is_counted_once, open_offer, place, post_need, read_need
from tests.api.stored import everything_stored, holds
from tests.db.acts import answer, hold, look_at_all_due, one, rows
from tests.waiting import eventually

Json = dict[str, Any]
ADDRESS = "12 rue Pasteur, second door"
MEETING = "Under the station clock"
UNKNOWN = "K7QF4-2MRX9-TDWAH"


async def look(anyone: httpx.AsyncClient, code: str, language: str = "en") -> Json:
    found = await anyone.post("/v1/slip", json={"code": code}, headers={"Accept-Language": language})
    assert found.status_code == 200, found.text
    slip: Json = found.json()
    return slip


async def refuse(anyone: httpx.AsyncClient, code: str, **how: object) -> httpx.Response:
    return await anyone.post("/v1/slip/refuse", json={"code": code, **how})


async def with_address(provider: Organization, offer_id: str, **site: object) -> None:
    """Seal the address of an offer's site, and change the site as told."""
    offer = (await provider.http.get(f"/v1/offers/{offer_id}")).json()
    path = f"/v1/sites/{offer['site_id']}"
    sealed = {"address": ADDRESS, "meeting_point": MEETING}
    assert (await provider.http.put(f"{path}/address", json=sealed, headers={"If-Match": "*"})).status_code == 200
    if site:
        assert (await provider.http.patch(path, json=site, headers={"If-Match": "*"})).status_code == 200


async def placed(engine: AsyncEngine, poster: Organization, provider: Organization, **site: object) -> tuple[str, Json]:
    """A party on hold at a site with an address: its code, and its allocation."""
    await with_address(provider, await open_offer(provider), **site)
    posted = await post_need(poster)
    await hold(engine, UUID(posted["id"]))
    (allocation,) = (await read_need(poster, posted["id"]))["allocations"]
    return posted["code"], allocation


async def starts_in(engine: AsyncEngine, hours: float) -> None:
    """Move all slots and needs so that the first slot begins in so many hours."""
    first = await one(engine, "select min(starts) as starts, clock_timestamp() as now from slot")
    await rows(
        engine,
        "update slot set starts = starts + d, ends = ends + d, last_arrival = last_arrival + d"
        "  from (select cast(:now as timestamptz) + make_interval(mins => :minutes)"
        "               - cast(:starts as timestamptz) as d) m",
        now=first.now,
        starts=first.starts,
        minutes=round(hours * 60),
    )


async def test_before_it_is_confirmed_the_slip_tells_when_and_not_where(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, _ = await placed(engine, coordination, association)
    await starts_in(engine, 2)
    slip = await look(anyone, code)
    assert slip["state"] == "held"
    (kept,) = slip["places"]
    assert kept["state"] == "held"
    assert kept["times"]
    where = ("town", "country", "name", "address", "meeting_point", "readable_from")
    assert {name: kept[name] for name in where} == dict.fromkeys(where)
    assert "Prorel" not in str(slip)


async def test_a_confirmed_place_is_told_from_twelve_hours_before(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association)
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await starts_in(engine, 13)
    (early,) = (await look(anyone, code))["places"]
    assert (early["town"], early["country"]) == ("Briançon", "FR")
    assert early["readable_from"]
    assert (early["name"], early["address"]) == (None, None)
    await starts_in(engine, 11.9)
    (near,) = (await look(anyone, code))["places"]
    assert near["address"] == ADDRESS
    assert near["name"] == "Gymnase du Prorel"
    assert near["meeting_point"] is None
    assert near["bring"][0]["code"] == "code"


async def test_of_a_rendezvous_only_the_meeting_point_is_told(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association, visibility="rendezvous")
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await starts_in(engine, 1)
    slip = await look(anyone, code)
    assert slip["places"][0]["meeting_point"] == MEETING
    assert ADDRESS not in str(slip)
    assert "Prorel" not in str(slip)


async def test_where_nobody_wrote_how_to_get_there_the_place_is_told_by_its_name(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    posted = await post_need(coordination)
    await hold(engine, UUID(posted["id"]))
    (allocation,) = (await read_need(coordination, posted["id"]))["allocations"]
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await starts_in(engine, 13)
    (early,) = (await look(anyone, posted["code"]))["places"]
    assert early["name"] is None
    await starts_in(engine, 11)
    (near,) = (await look(anyone, posted["code"]))["places"]
    assert (near["name"], near["address"], near["meeting_point"]) == ("Gymnase du Prorel", None, None)


async def test_a_public_place_is_told_as_soon_as_it_is_confirmed(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association, visibility="public")
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await starts_in(engine, 100)
    assert (await look(anyone, code))["places"][0]["address"] == ADDRESS


async def test_each_reading_of_a_place_is_counted_and_no_organization_hears_of_it(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association)
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await look(anyone, code)
    await starts_in(engine, 1)
    await look(anyone, code)
    await look(anyone, code)
    told = await rows(engine, "select object_id, organizations, facts from event where kind = 'slip.place_shown'")
    assert [(row.object_id, row.organizations, row.facts) for row in told] == [(UUID(allocation["id"]), [], {})] * 2


async def test_a_refused_place_goes_on_at_once_and_is_never_proposed_again(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    near = await open_offer(association)
    posted = await post_need(coordination)
    await hold(engine, UUID(posted["id"]))
    (kept,) = (await look(anyone, posted["code"]))["places"]
    left = await refuse(anyone, posted["code"], reason="too_far", place=kept["id"])
    assert left.status_code == 200, left.text
    assert (left.json()["state"], left.json()["places"]) == ("open", [])
    assert await look_at_all_due(engine) == []
    assert (await one(engine, "select max(used) as used from slot where offer_id = :id", id=UUID(near))).used == 0
    other = await post_need(coordination)
    assert len(await hold(engine, UUID(other["id"]))) == 1
    (first,) = (await read_need(coordination, posted["id"]))["allocations"]
    assert (first["state"], first["reason"]) == ("declined", "too_far")
    await assert_every_place_is_counted_once(engine)


async def test_a_refusal_that_is_sent_again_does_not_touch_the_next_place(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    await open_offer(association)
    posted = await post_need(coordination)
    await hold(engine, UUID(posted["id"]))
    (kept,) = (await look(anyone, posted["code"]))["places"]
    await refuse(anyone, posted["code"], reason="unsuitable", place=kept["id"])
    assert len(await look_at_all_due(engine)) == 1
    again = await refuse(anyone, posted["code"], reason="unsuitable", place=kept["id"])
    assert again.status_code == 200
    assert len(again.json()["places"]) == 1
    assert again.json()["places"][0]["id"] != kept["id"]


@pytest.mark.parametrize("reason", ["moved_on", "found_elsewhere"])
async def test_who_needs_no_place_any_more_ends_the_search(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine, reason: str
) -> None:
    code, allocation = await placed(engine, coordination, association)
    left = await refuse(anyone, code, reason=reason)
    assert left.json()["state"] == "withdrawn"
    need = await read_need(coordination, allocation["need_id"])
    assert (need["state"], need["allocations"][0]["reason"]) == ("withdrawn", reason)
    assert (await refuse(anyone, code, reason=reason)).status_code == 200
    await assert_every_place_is_counted_once(engine)


async def test_without_a_place_there_is_none_to_refuse(anyone: httpx.AsyncClient, coordination: Organization) -> None:
    posted = await post_need(coordination)
    refused = await refuse(anyone, posted["code"], reason="afraid")
    assert (refused.status_code, refused.json()["reason"]) == (409, "no_place_to_refuse")


async def test_another_partys_place_cannot_be_refused(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    victim = await place(engine, coordination)
    attacker = await post_need(coordination)
    tried = await refuse(anyone, attacker["code"], reason="moved_on", place=victim["allocations"][0]["id"])
    assert tried.status_code == 404
    assert (await read_need(coordination, victim["id"]))["state"] == "held"
    assert (await read_need(coordination, attacker["id"]))["state"] == "open"


async def test_the_provider_does_not_read_why_the_people_refused(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association)
    await refuse(anyone, code, reason="afraid", place=allocation["id"])
    path = f"/v1/allocations/{allocation['id']}"
    assert (await association.http.get(path)).json()["reason"] == "other"
    assert (await association.http.get("/v1/allocations")).json()["items"][0]["reason"] == "other"
    assert (await coordination.http.get(path)).json()["reason"] == "afraid"


async def test_feedback_is_counted_once_and_leads_back_to_nobody(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association)
    said = {"code": code, "rating": 4, "words": ["welcomed", "cold", "cold"]}
    early = await anyone.post("/v1/slip/feedback", json=said)
    assert (early.status_code, early.json()["reason"]) == (409, "nothing_to_tell_yet")
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await starts_in(engine, -1)
    before = await rows(engine, "select version from need union all select version from allocation")
    assert (await look(anyone, code))["may_give_feedback"]
    told = await anyone.post("/v1/slip/feedback", json=said)
    assert (told.status_code, told.json()["may_give_feedback"]) == (200, False)
    again = await anyone.post("/v1/slip/feedback", json=said)
    assert (again.status_code, again.json()["reason"]) == (409, "told_before")
    counted = await rows(engine, "select category, word, times from feedback_count order by word")
    assert [row.word for row in counted] == ["cold", "rated_4", "welcomed"]
    assert {(row.category, row.times) for row in counted} == {("shelter", 1)}
    assert await rows(engine, "select version from need union all select version from allocation") == before
    assert await rows(engine, "select 1 from event where kind like '%feedback%'") == []


def _all_but_the_number(answer: httpx.Response) -> tuple[object, ...]:
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("path", ["/v1/slip", "/v1/slip/refuse", "/v1/slip/preferences", "/v1/slip/feedback"])
async def test_unknown_expired_and_foreign_codes_answer_the_same_bytes(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine, path: str
) -> None:
    expired = await post_need(coordination)
    await rows(
        engine,
        "update need set state = 'closed', ended_at = now() - interval '73 hours' where id = :id",
        id=UUID(expired["id"]),
    )
    bodies: dict[str, Json] = {
        "/v1/slip": {},
        "/v1/slip/refuse": {"reason": "other"},
        "/v1/slip/preferences": {},
        "/v1/slip/feedback": {"rating": 3},
    }
    codes = (UNKNOWN, expired["code"], "K7QF4", "x", "\N{ARABIC LETTER AIN}" * 200, expired["code"][::-1])
    answers = [_all_but_the_number(await anyone.post(path, json={"code": code, **bodies[path]})) for code in codes]
    assert answers[0][0] == 404
    assert all(each == answers[0] for each in answers)


async def test_a_known_an_unknown_and_an_expired_code_are_sought_by_the_same_index(
    coordination: Organization, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    posted = await post_need(coordination)
    keys = SlipKeys.of(api_settings.keys())
    for code in (posted["code"], UNKNOWN):
        plan = await rows(
            engine,
            f"explain (format json) select id from need where slip = '\\x{keys.sought(code).hex()}'",
        )
        assert "need_slip_key" in str(plan)


async def test_a_slip_stays_open_for_three_days_after_its_end(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination)
    await rows(engine, "update need set state = 'closed', ended_at = now() - interval '71 hours'")
    assert (await look(anyone, posted["code"]))["state"] == "closed"


async def test_the_slip_speaks_the_readers_language(anyone: httpx.AsyncClient, coordination: Organization) -> None:
    posted = await post_need(coordination)
    slips = [await look(anyone, posted["code"], language) for language in SLIP_LANGUAGES]
    assert [slip["language"] for slip in slips] == list(SLIP_LANGUAGES)
    assert len({slip["says"] for slip in slips}) == len(SLIP_LANGUAGES)
    assert [slip["language"] for slip in slips if slip["direction"] == "rtl"] == ["ar"]


@pytest.mark.parametrize("language", SLIP_LANGUAGES)
def test_every_word_of_the_slip_is_there_in_every_language_it_speaks(language: str) -> None:
    def words(of: str) -> dict[str, str]:
        return {key: sentence for key, sentence in catalogue(of).items() if key.startswith("slip.")}

    assert words(language).keys() == words("en").keys()
    assert all(sentence.strip() for sentence in words(language).values())


async def test_no_table_and_no_log_holds_a_code(
    anyone: httpx.AsyncClient,
    coordination: Organization,
    association: Organization,
    engine: AsyncEngine,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, allocation = await placed(engine, coordination, association)
    await answer(engine, UUID(allocation["id"]), association.id, AllocationState.CONFIRMED)
    await starts_in(engine, 1)
    await look(anyone, code, "ar")
    for unusable in ({"code": code, "reason": code}, {"code": code, code: code}, {"code": [code]}):
        told = await anyone.post("/v1/slip/refuse", json=unusable)
        assert told.status_code == 422
        assert code not in told.text
    await anyone.post("/v1/slip", json={"code": code}, params={"code": code})
    await anyone.get("/slip", params={"code": code})
    logged = capfd.readouterr()
    everything = await everything_stored(engine)
    for secret in (code, code.replace("-", ""), ADDRESS):
        assert holds(everything, secret) == []
        assert secret not in logged.out + logged.err
    assert '"route": "/v1/slip"' in logged.err


async def test_needs_posted_before_there_were_slips_are_filed_when_the_service_starts(
    client: JoinNetwork, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    poster = await client()
    posted = await post_need(poster)
    await rows(engine, "update need set slip = null")
    later = create(api_settings)
    async with later.router.lifespan_context(later):

        async def filed() -> bool:
            return (await one(engine, "select slip from need")).slip is not None

        await eventually(filed, "the need is filed")
        transport = httpx.ASGITransport(later)
        async with httpx.AsyncClient(transport=transport, base_url="http://relais.test") as http:
            assert (await look(http, posted["code"]))["state"] == "open"
