"""P2: what the people say on their slip decides between places, takes none from them, and is read by few."""

from datetime import datetime, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import SLIP_LANGUAGES, say
from db import preferences
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from db.tombstones import drop_needs
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind, Wish
from tests.acting import in_role
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import Json, assert_every_place_is_counted_once, open_offer, place, post_need, read_need
from tests.api.test_slip import starts_in
from tests.api.test_slip_page import Page, send
from tests.builders import tonight
from tests.db.acts import answer, hold, look_at_all_due, rows
from tests.places import BRIANCON, CLAVIERE, GAP, MONTGENEVRE
from tests.sharing import Towns, share
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

BOTH = {"countries": ["FR", "IT"]}


async def say_so(anyone: httpx.AsyncClient, code: str, status: int = 200, **said: object) -> Json:
    told = await anyone.post("/v1/slip/preferences", json={"code": code, **said})
    assert told.status_code == status, told.text
    read: Json = told.json()
    return read


async def where(engine: AsyncEngine, need_id: str) -> list[str]:
    """The offers in which people of a need have a place."""
    live = "select offer_id from allocation where need_id = :id and state in ('held', 'confirmed', 'arrived')"
    return [str(row.offer_id) for row in await rows(engine, live, id=UUID(need_id))]


async def two_ways(poster: Organization, provider: Organization) -> tuple[Json, str, str]:
    """Someone in Montgenèvre for whom nothing is open yet; then places in Claviere, next by, and in Briançon."""
    posted = await post_need(poster, town=MONTGENEVRE.id, **BOTH)
    near = await open_offer(provider, CLAVIERE, timezone="Europe/Rome")
    far = await open_offer(provider, BRIANCON)
    return posted, near, far


@pytest.mark.parametrize("said", [{"near": {"town": BRIANCON.id}}, {}], ids=["stay near", "control: say nothing"])
async def test_who_would_stay_near_a_town_is_placed_there_though_another_place_is_nearer(
    anyone: httpx.AsyncClient,
    coordination: Organization,
    association: Organization,
    engine: AsyncEngine,
    said: Json,
) -> None:
    posted, near, far = await two_ways(coordination, association)
    told = await say_so(anyone, posted["code"], **said)
    assert told["preferences"]["near"] == ({"town": BRIANCON.id, "km": 0} if said else None)
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == [far if said else near]
    answered = await coordination.http.get(f"/v1/needs/{posted['id']}/explanation")
    (other,) = answered.json()["others"]
    assert other["term"] == ("preference" if said else "travel")
    await assert_every_place_is_counted_once(engine)


async def test_what_is_taken_back_counts_no_more(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    posted, near, far = await two_ways(coordination, association)
    await say_so(anyone, posted["code"], near={"town": BRIANCON.id}, wishes=["quiet"])
    told = await say_so(anyone, posted["code"])
    assert told["preferences"] == {"near": None, "most_km": None, "wishes": [], "wait_for": []}
    assert await rows(engine, "select 1 from preference") == []
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == [near]
    assert far


async def test_a_worker_places_them_as_they_said_and_anew_once_they_refuse(
    anyone: httpx.AsyncClient,
    coordination: Organization,
    association: Organization,
    engine: AsyncEngine,
    start_worker: StartWorker,
) -> None:
    posted, near, far = await two_ways(coordination, association)
    await say_so(anyone, posted["code"], near={"town": BRIANCON.id})
    start_worker()

    async def held_at(offer: str) -> bool:
        return await where(engine, posted["id"]) == [offer]

    await eventually(lambda: held_at(far), "held near Briançon", 180)
    await say_so(anyone, posted["code"])
    refused = await anyone.post("/v1/slip/refuse", json={"code": posted["code"], "reason": "too_far"})
    assert refused.status_code == 200
    await eventually(lambda: held_at(near), "held next by, as nothing is said any more", 180)


async def test_a_wish_is_weighed_and_leaves_nobody_without_a_place(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination)
    await say_so(anyone, posted["code"], wishes=["quiet"])
    loud = await open_offer(association)
    quiet = await open_offer(association, MONTGENEVRE, provides=["quiet"])
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == [quiet]
    other = await post_need(coordination, people={"adults": 1})
    await say_so(anyone, other["code"], wishes=["quiet", "kitchen", "pets", "luggage"])
    await rows(engine, "update offer set state = 'closed' where id = :id", id=UUID(quiet))
    await look_at_all_due(engine)
    assert await where(engine, other["id"]) == [loud], "a wish keeps nobody out of anywhere"


async def test_what_they_wait_for_is_waited_for_until_they_say_otherwise(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination)
    await say_so(anyone, posted["code"], wait_for=["quiet"])
    loud = await open_offer(association)
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == []
    answered = (await coordination.http.get(f"/v1/needs/{posted['id']}/explanation")).json()
    assert [(other["rule"], other["facts"]) for other in answered["others"]] == [("access", {"missing": "quiet"})]
    await say_so(anyone, posted["code"])
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == [loud]


async def test_no_farther_than_they_said_and_never_farther_than_was_posted(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination, max_km=20)
    await say_so(anyone, posted["code"], most_km=5)
    far = await open_offer(association, MONTGENEVRE)
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == []
    assert (await read_need(coordination, posted["id"]))["max_km"] == 20, "what was posted stays as it was"
    await say_so(anyone, posted["code"], most_km=900)
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == [far]
    await open_offer(association, GAP)
    other = await post_need(coordination, people={"adults": 9}, max_km=20)
    await say_so(anyone, other["code"], most_km=900)
    await look_at_all_due(engine)
    assert await where(engine, other["id"]) == []


async def test_a_place_that_they_have_stays_theirs_whatever_they_prefer(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    offer = await open_offer(association)
    posted = await post_need(coordination, people={"adults": 1})
    await hold(engine, UUID(posted["id"]))
    (kept,) = (await read_need(coordination, posted["id"]))["allocations"]
    await answer(engine, UUID(kept["id"]), association.id, AllocationState.CONFIRMED)
    told = await say_so(anyone, posted["code"], wait_for=["quiet"], most_km=1)
    assert [each["id"] for each in told["places"]] == [kept["id"]]
    await look_at_all_due(engine)
    assert await where(engine, posted["id"]) == [offer]
    # And may be lengthened: what was said concerns places to come.
    longer = await coordination.http.patch(
        f"/v1/needs/{posted['id']}", json={"until": tonight(3)[1].isoformat()}, headers={"If-Match": "*"}
    )
    assert longer.status_code == 200, longer.text
    assert len(longer.json()["allocations"][0]["slots"]) == 3


async def test_who_leaves_sooner_gives_the_nights_after_to_others(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    starts, ends = tonight(4)
    posted = await post_need(coordination, until=ends.isoformat())
    await hold(engine, UUID(posted["id"]))
    leaves = tonight(2)[1]
    told = await say_so(anyone, posted["code"], leave_by=leaves.isoformat())
    assert datetime.fromisoformat(told["until"]) == leaves
    assert len(told["places"][0]["times"]) == 2
    assert [row.used for row in await rows(engine, "select used from slot order by day limit 4")] == [4, 4, 0, 0]
    later = await say_so(anyone, posted["code"], leave_by=ends.isoformat())
    assert datetime.fromisoformat(later["until"]) == leaves, "nobody lengthens a stay by a preference"
    wrong = await say_so(anyone, posted["code"], 422, leave_by=(starts - timedelta(minutes=1)).isoformat())
    assert [(flaw["at"], flaw["code"]) for flaw in wrong["errors"]] == [("/leave_by", "before_from")]
    await assert_every_place_is_counted_once(engine)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ({"near": {"town": 1}}, "/near/town"),
        ({"near": {"km": 501}}, "/near/km"),
        ({"most_km": 0}, "/most_km"),
        ({"wishes": ["lgbtq_safe"]}, "/wishes/0"),
        ({"wait_for": ["interpreter:ps"]}, "/wait_for/0"),
        ({"wishes": "quiet"}, "/wishes"),
        ({"religion": "unsayable"}, "/religion"),
    ],
)
async def test_what_is_not_in_the_closed_lists_is_refused_and_not_repeated(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine, said: Json, at: str
) -> None:
    posted = await post_need(coordination)
    told = await anyone.post("/v1/slip/preferences", json={"code": posted["code"], **said})
    assert told.status_code == 422
    assert [flaw["at"] for flaw in told.json()["errors"]] == [at]
    assert "unsayable" not in told.text
    assert await rows(engine, "select 1 from preference") == []


async def test_who_has_ended_prefers_nothing_any_more(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination)
    await coordination.http.post(f"/v1/needs/{posted['id']}/withdraw")
    refused = await say_so(anyone, posted["code"], 409, wishes=["quiet"])
    assert refused["reason"] == "need_has_ended"
    assert await rows(engine, "select 1 from preference") == []


async def test_the_poster_reads_it_and_hears_of_it_and_the_host_does_not(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association, provides=["quiet"])
    need = await post_need(coordination)
    said: Json = {"near": {"town": GAP.id, "km": 7}, "most_km": 50, "wishes": ["kitchen"], "wait_for": ["quiet"]}
    before = (await read_need(coordination, need["id"]))["version"]
    await say_so(anyone, need["code"], **said)
    read = await read_need(coordination, need["id"])
    assert read["preferences"] == said
    assert read["version"] > before
    assert read["requires"] == []
    listed = (await coordination.http.get("/v1/needs")).json()["items"]
    assert listed[0]["preferences"] == said
    told = await rows(engine, "select organizations from event where kind = 'need.changed'")
    assert [row.organizations for row in told] == [[coordination.id]]
    await look_at_all_due(engine)
    (seen,) = (await association.http.get("/v1/allocations")).json()["items"]
    assert seen["party"]["requires"] == []
    assert not {"quiet", "kitchen", str(GAP.id)} & set(str(seen).replace("'", " ").split())


async def _seen(engine: AsyncEngine, who: UUID) -> int:
    async with transaction(in_role(engine, Role.APP, who)) as tx:
        ids = [row.id for row in await rows(engine, "select id from need")]
        return len(await preferences.of_needs(tx, ids))


async def test_the_database_shows_it_to_the_poster_alone(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    need = await post_need(coordination)
    await say_so(anyone, need["code"], wishes=["kitchen"])
    await look_at_all_due(engine)
    assert await where(engine, need["id"]), "the host reads the need itself"
    assert await _seen(engine, association.id) == 0
    assert await _seen(engine, coordination.id) == 1, "control: who may read it does"


async def test_a_partner_is_not_told_and_still_has_what_they_wait_for(
    anyone: httpx.AsyncClient, client: JoinNetwork, engine: AsyncEngine, towns: Towns
) -> None:
    poster = await client(OrganizationKind.COORDINATION)
    async with transaction(engine) as tx:
        await tx.exec_driver_sql(f"delete from organization_town where organization_id = '{towns.briancon}'")
    shared = Towns(engine, towns.settings, poster.id, towns.gap, towns.menton)
    await shared.pact(acceptance="each")
    await shared.places()
    posted = await post_need(poster, max_km=500)
    need_id = UUID(posted["id"])
    await say_so(anyone, posted["code"], wait_for=["quiet"])
    await rows(engine, "update need set posted_at = posted_at - interval '1 hour'")
    await hold(engine, need_id)
    await shared.work()
    assert await shared.referrals(need_id) == [], "nothing quiet is free there"
    await shared.places(provides=["quiet"])
    await rows(engine, "update need set refer_at = null")
    await shared.work()
    (offered,) = await rows(engine, "select requires, to_town_id from referral")
    assert (offered.requires, offered.to_town_id) == ([], GAP.id)


@pytest.fixture
async def towns(engine: AsyncEngine, settings: Settings) -> Towns:
    return await share(engine, settings)


async def test_it_goes_with_its_need(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine
) -> None:
    need = await post_need(coordination)
    await say_so(anyone, need["code"], wishes=["kitchen"])
    async with transaction(in_role(engine, Role.MATCHER)) as tx:
        await drop_needs(tx, [UUID(need["id"])])
    assert await rows(engine, "select 1 from preference") == []


async def marked(engine: AsyncEngine, offer: str, parties: int, points: int) -> None:
    await rows(
        engine,
        "insert into site_mark select site_id, :parties, :points from offer where id = :id"
        " on conflict (site_id) do update set parties = excluded.parties, points = excluded.points",
        id=UUID(offer),
        parties=parties,
        points=points,
    )


async def test_of_equal_places_the_one_with_better_marks_goes_first_from_ten_parties_on(
    coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    first, second = await open_offer(association), await open_offer(association)
    for loved, other in ((first, second), (second, first)):
        await marked(engine, loved, 10, 50)
        await marked(engine, other, 10, 10)
        need = await place(engine, coordination, people={"adults": 1})
        assert await where(engine, need["id"]) == [loved]
        told = (await coordination.http.get(f"/v1/needs/{need['id']}/explanation")).json()
        assert [each["term"] for each in told["others"]] == ["marks"]
        await coordination.http.post(f"/v1/needs/{need['id']}/withdraw")


async def test_control_marks_of_nine_parties_decide_nothing(
    coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    offers = [await open_offer(association), await open_offer(association)]
    chosen = set()
    for loved, other in (offers, offers[::-1]):
        await marked(engine, loved, 9, 45)
        await marked(engine, other, 9, 9)
        need = await place(engine, coordination, people={"adults": 1})
        chosen.update(await where(engine, need["id"]))
        await coordination.http.post(f"/v1/needs/{need['id']}/withdraw")
    assert len(chosen) == 1, "the lot falls on the same one, whatever nine parties said"


async def test_feedback_is_summed_up_by_site_and_by_nothing_else(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    codes = []
    for _ in range(2):
        posted = await post_need(coordination, people={"adults": 1})
        await hold(engine, UUID(posted["id"]))
        (kept,) = (await read_need(coordination, posted["id"]))["allocations"]
        await answer(engine, UUID(kept["id"]), association.id, AllocationState.CONFIRMED)
        codes.append(posted["code"])
    await starts_in(engine, -1)
    for code, rating in zip(codes, (2, 5), strict=True):
        told = await anyone.post("/v1/slip/feedback", json={"code": code, "rating": rating})
        assert told.status_code == 200, told.text
    (counted,) = await rows(engine, "select parties, points from site_mark")
    assert (counted.parties, counted.points) == (2, 7)


@pytest.mark.parametrize("language", SLIP_LANGUAGES)
async def test_the_page_lets_people_say_it_without_scripts(
    anyone: httpx.AsyncClient, coordination: Organization, language: str
) -> None:
    posted = await post_need(coordination, until=tonight(3)[1].isoformat())
    code = {"code": posted["code"], "language": language}
    page = await send(anyone, code)
    for words in ("title", "lead", "wishes", "wait", "send", "leave_keep"):
        assert page.says(say(f"slip.prefer.{words}", language)), words
    assert page.says(say("slip.prefer.near", language, town="Briançon"))
    assert all(page.says(say(f"slip.wish.{wish}", language)) for wish in Wish)
    mornings = [held["value"] for held in page.all("option") if "T" in held["value"]]
    assert len(mornings) == 2
    chosen = {"near_km": "10", "most_km": "20", "wishes": ["quiet", "pets"], "wait_for": ["kitchen"]}
    saved = await send(anyone, {**code, **chosen, "leave_by": mornings[1]}, "/slip/preferences")
    assert saved.says(say("slip.prefer.done", language))
    checked = [(held["name"], held["value"]) for held in saved.all("input") if "checked" in held]
    assert sorted(checked) == [("wait_for", "kitchen"), ("wishes", "pets"), ("wishes", "quiet")]
    assert sorted(held["value"] for held in saved.all("option") if "selected" in held) == ["", "10", "20"]
    read = await read_need(coordination, posted["id"])
    assert read["preferences"]["near"] == {"town": BRIANCON.id, "km": 10}
    assert datetime.fromisoformat(read["until"]) == datetime.fromisoformat(mornings[1])


async def test_what_is_none_of_the_pages_choices_counts_as_none(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination)
    odd = {"near_km": "3", "most_km": "-1", "wishes": ["lgbtq_safe", "<script>"], "leave_by": "tomorrow"}
    page: Page = await send(anyone, {"code": posted["code"], **odd}, "/slip/preferences")
    assert page.says(say("slip.prefer.done", "en"))
    assert await rows(engine, "select 1 from preference") == []
    late = await send(anyone, {"code": posted["code"], "leave_by": "2020-01-01T09:00+01:00"}, "/slip/preferences", 422)
    assert late.says(say("slip.prefer.refused", "en"))
