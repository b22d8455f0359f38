"""Referrals as towns answer them, and as those who posted the need see what came of it."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, catalogue
from db.connection import transaction
from db.settings import Settings
from matching.referring import RULES
from matching.states import ReferralState
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.hearing import hears
from tests.api.scenes import open_offer, post_need
from tests.builders import add_offer
from tests.db.acts import hold, look_at_all_due, rows
from tests.pacts import add_pact
from tests.places import BRIANCON, GAP, MENTON
from tests.sharing import Towns

Json = dict[str, Any]


class Both:
    """The coordination of Briançon and the municipality of Gap, over HTTP, and the worker's looks."""

    def __init__(self, briancon: Organization, gap: Organization, engine: AsyncEngine, settings: Settings) -> None:
        self.briancon, self.gap, self.engine = briancon, gap, engine
        self.towns = Towns(engine, settings, briancon.id, gap.id, gap.id)

    async def pact(self, **terms: object) -> UUID:
        async with transaction(self.engine) as tx:
            return await add_pact(tx, (self.briancon.id, BRIANCON), (self.gap.id, GAP), **terms)

    async def need(self, **changes: object) -> str:
        posted = await post_need(self.briancon, **{"max_km": 500, **changes})
        await hold(self.engine, UUID(posted["id"]))
        return str(posted["id"])

    async def waiting(self) -> Json:
        """The one referral that waits for Gap's answer."""
        listed = await self.gap.http.get("/v1/referrals", params={"state": "offered"})
        (referral,) = listed.json()["items"]
        found: Json = referral
        return found

    async def explained(self, need_id: str, language: str = "en") -> Json:
        answer = await self.briancon.http.get(f"/v1/needs/{need_id}/explanation", headers={"Accept-Language": language})
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told


@pytest.fixture
async def both(client: JoinNetwork, engine: AsyncEngine, settings: Settings) -> Both:
    briancon = await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))
    gap = await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))
    return Both(briancon, gap, engine, settings)


async def test_the_partner_sees_what_it_is_asked_and_no_more_and_takes_the_people(both: Both) -> None:
    await both.pact(acceptance="each")
    offer = await open_offer(both.gap, GAP)
    need_id = await both.need(requires=[], audience=["families"])
    asked = await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    assert (asked.status_code, asked.json()["state"]) == (200, "open"), asked.text
    referral = await both.waiting()
    assert referral["party"] == {"adults": 2, "minors": 2, "audience": ["families"], "requires": []}
    assert (referral["from_town"], referral["to_town"], referral["need_id"]) == (BRIANCON.id, GAP.id, None)
    shown = await both.gap.http.get(f"/v1/referrals/{referral['id']}")
    assert need_id not in shown.text
    assert both.briancon.id.hex not in shown.text.replace("-", "")
    own = await both.briancon.http.get(f"/v1/referrals/{referral['id']}")
    assert own.json() == referral | {"need_id": need_id}
    accepted = await both.gap.http.post(f"/v1/referrals/{referral['id']}/accept")
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    again = await both.gap.http.post(f"/v1/referrals/{referral['id']}/accept")
    assert again.json() == accepted.json()
    need = (await both.briancon.http.get(f"/v1/needs/{need_id}")).json()
    assert (need["state"], need["searched_town"], need["town"]) == ("referred", GAP.id, BRIANCON.id)
    told = await both.explained(need_id)
    assert told["summary"].startswith("Gap takes these people")
    await look_at_all_due(both.engine)
    need = (await both.briancon.http.get(f"/v1/needs/{need_id}")).json()
    assert (need["state"], need["allocations"][0]["offer_id"]) == ("held", offer)
    answered = ["referral.offered", "referral.accepted"]
    for who, kinds in ((both.gap, answered), (both.briancon, [*answered, "need.referred"])):
        heard = await hears(who, kinds, ("referral.", "need.r"))
        assert all(set(each["facts"]) <= {"pact_id", "need_id"} for each in heard)


async def test_a_partner_that_says_no_is_not_asked_again_and_cannot_say_yes_later(both: Both) -> None:
    await both.pact(acceptance="each")
    await open_offer(both.gap, GAP)
    need_id = await both.need()
    await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    twice = await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    assert (twice.status_code, twice.json()["reason"]) == (409, "referral_is_waiting")
    path = f"/v1/referrals/{(await both.waiting())['id']}"
    declined = await both.gap.http.post(f"{path}/decline", json={"reason": "no_staff"})
    assert (declined.json()["state"], declined.json()["reason"]) == ("declined", "no_staff")
    late = await both.gap.http.post(f"{path}/accept")
    assert (late.status_code, late.json()["reason"], late.json()["state"]) == (
        409,
        "referral_is_answered",
        "declined",
    )
    again = await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    assert (again.status_code, again.json()["rule"]) == (409, "tried")
    (partner,) = (await both.explained(need_id))["partners"]
    assert (partner["state"], partner["sentence"]) == ("declined", "Gap was asked and said no.")


async def test_only_the_receiving_town_answers(both: Both, client: JoinNetwork) -> None:
    await both.pact(acceptance="each")
    await open_offer(both.gap, GAP)
    await both.briancon.http.post(f"/v1/needs/{await both.need()}/refer")
    path = f"/v1/referrals/{(await both.waiting())['id']}"
    assert (await both.briancon.http.post(f"{path}/accept")).status_code == 404
    stranger = await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))
    missing = await stranger.http.get("/v1/referrals/00000000-0000-4000-8000-000000000000")
    shown = await stranger.http.get(path)
    assert (shown.status_code, shown.content) == (404, missing.content)


async def test_an_owner_may_name_a_pact_of_its_own_that_holds_for_the_town(both: Both, client: JoinNetwork) -> None:
    pact_id = await both.pact()
    await open_offer(both.gap, GAP)
    need_id = await both.need()
    other = await client(OrganizationKind.MUNICIPALITY, towns=(MENTON.id,))
    async with transaction(both.engine) as tx:
        foreign = await add_pact(tx, (both.gap.id, GAP), (other.id, MENTON))
        elsewhere = await add_pact(tx, (both.briancon.id, GAP), (other.id, MENTON))
    for unknown in (foreign, UUID(int=0)):
        refused = await both.briancon.http.post(f"/v1/needs/{need_id}/refer", json={"pact_id": str(unknown)})
        assert refused.status_code == 404
    refused = await both.briancon.http.post(f"/v1/needs/{need_id}/refer", json={"pact_id": str(elsewhere)})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "unknown_pact")
    referred = await both.briancon.http.post(f"/v1/needs/{need_id}/refer", json={"pact_id": str(pact_id)})
    assert (referred.status_code, referred.json()["state"]) == (200, "referred"), referred.text


async def test_who_has_a_place_is_not_referred(both: Both) -> None:
    await both.pact()
    async with transaction(both.engine) as tx:
        await add_offer(tx, both.gap.id)
    need_id = await both.need()
    refused = await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    assert (refused.status_code, refused.json()["reason"]) == (409, "has_a_place_already")


async def test_an_explanation_says_for_each_pact_why_it_did_not_help(both: Both) -> None:
    need_id = await both.need()
    assert (await both.explained(need_id))["no_pact"] == "No pact of this town is in force."
    for terms in ({"categories": ["meal"]}, {"to_partner_per_week": 3}, {}):
        await both.pact(**terms)
    told = await both.explained(need_id)
    assert told["no_pact"] is None
    assert [each["rule"] for each in told["partners"]] == ["category", "week", "free"]
    assert told["partners"][1]["sentence"] == (
        "Gap takes 3 people a week under the pact, and too few of these places are left this week (3)."
    )
    said = {(await both.explained(need_id, language))["partners"][2]["sentence"] for language in LANGUAGES}
    assert len(said) == len(LANGUAGES)
    refused = await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    assert (refused.status_code, refused.json()["rule"]) == (409, "category")
    await open_offer(both.gap, GAP)
    assert [each["rule"] for each in (await both.explained(need_id))["partners"]] == ["category", "week", None]


async def test_how_full_a_week_is_is_told_to_the_two_towns_alone(both: Both, client: JoinNetwork) -> None:
    """Who posts a party of hundreds finds any week too full, and is not to count by it whom two towns passed on."""
    await both.pact(to_partner_per_week=3)
    stranger = await client("association", towns=(BRIANCON.id,))
    posted = await post_need(stranger, people={"adults": 300})
    told = (await stranger.http.get(f"/v1/needs/{posted['id']}/explanation", headers={"Accept-Language": "en"})).json()
    (partner,) = told["partners"]
    assert (partner["rule"], partner["pact_id"], partner["facts"]) == ("week", None, {})
    assert partner["sentence"] == "Gap has too few places left under its pact this week."


async def test_nobody_is_told_that_a_partner_town_is_five_minutes_away(both: Both) -> None:
    """Its places are looked for around it: how long the way from where the people are takes was never asked."""
    await both.pact()
    await open_offer(both.gap, GAP)
    need_id = await both.need()
    await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    await look_at_all_due(both.engine)
    (allocation,) = (await both.briancon.http.get(f"/v1/needs/{need_id}")).json()["allocations"]
    assert allocation["travel_minutes"] is None


async def test_both_towns_see_what_they_did_for_each_other(both: Both) -> None:
    pact_id = await both.pact()
    await open_offer(both.gap, GAP)
    for _ in range(2):
        await both.briancon.http.post(f"/v1/needs/{await both.need()}/refer")
    await rows(both.engine, "update need set look_at = now()")
    await both.towns.work()
    shown = [(await who.http.get(f"/v1/pacts/{pact_id}")).json()["weeks"] for who in (both.briancon, both.gap)]
    assert shown[0] == shown[1]
    (week,) = shown[0]
    assert (week["to_town"], week["people"], week["people_placed"], week["referred"], week["placed"]) == (
        GAP.id,
        8,
        8,
        2,
        2,
    )


def test_every_word_about_pacts_is_there_in_every_language() -> None:
    wanted = {f"pact.{rule}" for rule in (*RULES, "fits", "week_of_others")} - {"pact.none"}
    wanted |= {f"referral.{state}" for state in ReferralState} | {"pact.none", "summary.referred"}
    wanted |= {f"unmet.pact_{rule}" for rule in RULES if rule != "none"}
    assert wanted <= catalogue("en").keys()
    for language in LANGUAGES:
        assert catalogue(language).keys() >= wanted, language
        assert [key for key in wanted if catalogue(language)[key] == catalogue("en")[key]] == [] or language == "en"


async def test_the_ride_of_one_town_follows_the_need_that_another_changes(both: Both) -> None:
    await both.pact(transport="receiving")
    await open_offer(both.gap, GAP)
    need_id = await both.need()
    await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    await both.towns.work()
    before = (await both.gap.http.get("/v1/referrals")).json()["items"][0]
    need = await both.briancon.http.get(f"/v1/needs/{need_id}")
    changed = await both.briancon.http.patch(
        f"/v1/needs/{need_id}", json={"people": {"adults": 3, "minors": 2}}, headers={"If-Match": need.headers["ETag"]}
    )
    assert changed.status_code == 200, changed.text
    ride = (await both.gap.http.get(f"/v1/needs/{before['ride_id']}")).json()
    assert (ride["category"], ride["people"]) == ("transport", {"adults": 3, "minors": 2})


@pytest.mark.parametrize("most_km", [20, None], ids=["no farther", "control: anywhere"])
async def test_who_says_on_their_slip_how_far_they_go_comes_home_and_the_explanation_says_why(
    both: Both, anyone: httpx.AsyncClient, most_km: int | None
) -> None:
    await both.pact()
    await open_offer(both.gap, GAP)
    posted = await post_need(both.briancon, max_km=500)
    await hold(both.engine, UUID(posted["id"]))
    sent = await both.briancon.http.post(f"/v1/needs/{posted['id']}/refer")
    assert sent.json()["state"] == "referred"
    said = await anyone.post("/v1/slip/preferences", json={"code": posted["code"], "most_km": most_km})
    assert said.status_code == 200, said.text
    need = (await both.briancon.http.get(f"/v1/needs/{posted['id']}")).json()
    told = [(each["state"], each["rule"]) for each in (await both.explained(posted["id"]))["partners"]]
    if most_km is None:
        assert (need["state"], told) == ("referred", [("accepted", None)])
    else:
        assert (need["state"], need["searched_town"]) == ("open", None)
        assert told == [("withdrawn", None), (None, "distance")]
        await hears(both.briancon, ["need.open"], "need.o")
        await hears(both.gap, ["referral.accepted", "referral.withdrawn"], "referral.")
