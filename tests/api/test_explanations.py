"""`GET /v1/needs/{id}/explanation`: why this place and why not the others, in the reader's words."""

import re
from string import Formatter
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, catalogue
from db.connection import transaction
from db.holds import hold_best_places
from db.seekers import claim
from geo.distance import kilometres_between
from matching.assign import Way
from matching.explain import Term
from matching.policy import FIRST_POLICY
from matching.rules import RULES
from matching.states import LIVE
from matching.vocabulary import ACCESS, OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.builders import add_need, add_offer
from tests.places import BAYONNE, BRIANCON, MONTGENEVRE, OULX, PlaceRow

BY_LOAD_ALONE = {
    "travel": 0.0,
    "load": 0.0,
    "price": 0.0,
    "town": 0.0,
    "association": 0.0,
    "time": 0.0,
    "preference": 0.0,
}
PREFIXES = ("rule.", "term.", "way.", "unmet.", "chosen.", "summary.", "access.")


class Evening:
    """An evening in Briançon: offers of a town hall, needs of a coordination."""

    def __init__(self, engine: AsyncEngine, town_hall: Organization, coordination: Organization) -> None:
        self.engine, self.town_hall, self.coordination = engine, town_hall, coordination

    async def offer(self, **facts: object) -> UUID:
        async with transaction(self.engine) as tx:
            return await add_offer(tx, self.town_hall.id, **facts)  # type: ignore[arg-type]

    async def need(self, **terms: object) -> UUID:
        async with transaction(self.engine) as tx:
            return await add_need(tx, self.coordination.id, **terms)

    async def match(self, need_id: UUID) -> None:
        async with transaction(self.engine) as tx:
            seeker = await claim(tx, need_id, FIRST_POLICY)
            assert seeker is not None
            await hold_best_places(tx, seeker, FIRST_POLICY)


@pytest.fixture
async def evening(engine: AsyncEngine, municipality: Organization, coordination: Organization) -> Evening:
    return Evening(engine, municipality, coordination)


async def told(reader: Organization, need_id: UUID, language: str = "en") -> dict[str, Any]:
    answer = await reader.http.get(f"/v1/needs/{need_id}/explanation", headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-language"] == language
    read: dict[str, Any] = answer.json()
    return read


async def others(reader: Organization, need_id: UUID) -> list[dict[str, Any]]:
    return list((await told(reader, need_id))["others"])


def away(place: PlaceRow) -> int:
    return kilometres_between(BRIANCON.cell, place.cell)


async def test_a_held_need_is_told_its_place_and_why_not_the_others(evening: Evening) -> None:
    chosen = await evening.offer(capacity=10)
    await evening.offer(place=MONTGENEVRE, capacity=10)
    await evening.offer(place=OULX)
    need_id = await evening.need(people=4, minors=2)
    await evening.match(need_id)
    explanation = await told(evening.coordination, need_id)
    (place,) = explanation["chosen"]
    assert place.pop("allocation_id")
    assert place == {
        "offer_id": str(chosen),
        "state": "held",
        "people": 4,
        "distance_km": 0,
        "travel_minutes": 5,
        "terms": BY_LOAD_ALONE,
        "decision": {
            "way": "at_once",
            "round_id": None,
            "terms": BY_LOAD_ALONE,
            "sentence": "It was chosen at once, as the least costly of the nearest that fit at that moment.",
        },
        "policy_version": FIRST_POLICY.version,
        "sentence": "This place is on hold, 0 km away. The way by road takes about 5 min.",
    }
    assert explanation == {
        "need_id": str(need_id),
        "state": "held",
        "policy_version": FIRST_POLICY.version,
        "summary": "Everyone has a place. Other places looked at: 2.",
        "chosen": [place],
        "others": [
            {
                "offer_id": None,
                "distance_km": away(MONTGENEVRE),
                "rule": None,
                "term": "travel",
                "facts": {"km": away(MONTGENEVRE)},
                "sentence": f"It fits, but it is {away(MONTGENEVRE)} km farther.",
            },
            {
                "offer_id": None,
                "distance_km": away(OULX),
                "rule": "border",
                "term": None,
                "facts": {"country": "IT"},
                "sentence": "It is in another country (Italy), and this party has not agreed to go there.",
            },
        ],
        "partners": [],
        "no_pact": None,
        "counts": {},
    }


async def test_an_open_need_is_told_what_stands_in_the_way(evening: Evening) -> None:
    await evening.offer(capacity=1)
    await evening.offer(capacity=2)
    await evening.offer(provides=["lift"], state="paused")
    explanation = await told(evening.coordination, await evening.need(people=3))
    assert explanation["chosen"] == []
    assert explanation["summary"] == "No place fits yet; the search goes on. Places without enough room: 2."


async def test_a_help_that_nobody_offers_is_said_so(evening: Evening) -> None:
    explanation = await told(evening.coordination, await evening.need())
    assert explanation["summary"] == (
        "No place fits yet; the search goes on. Nobody in the network offers this help yet."
    )
    assert explanation["others"] == []


async def test_help_that_is_too_far_is_told_with_its_distance(evening: Evening) -> None:
    await evening.offer(place=BAYONNE)
    (other,) = await others(evening.coordination, await evening.need())
    assert (other["rule"], other["facts"]) == ("distance", {"km": away(BAYONNE), "most": 50})


async def test_a_place_that_fits_is_said_to_be_on_its_way(evening: Evening) -> None:
    await evening.offer()
    explanation = await told(evening.coordination, await evening.need())
    assert explanation["summary"] == "A place fits; it is tried at the next look."


async def test_a_party_that_is_spread_is_told_how_many_have_a_place(evening: Evening) -> None:
    await evening.offer(capacity=3)
    need_id = await evening.need(people=5, divisible=True)
    await evening.match(need_id)
    explanation = await told(evening.coordination, need_id)
    assert explanation["summary"] == "Places found for 3 of 5 people; the search goes on for the others."
    assert explanation["others"] == []


async def test_a_place_that_declined_is_told_as_tried(evening: Evening) -> None:
    offer = await evening.offer()
    need_id = await evening.need()
    await evening.match(need_id)
    (place,) = (await told(evening.coordination, need_id))["chosen"]
    decline = f"/v1/allocations/{place['allocation_id']}/decline"
    declined = await evening.town_hall.http.post(decline, json={"reason": "full"})
    assert declined.status_code == 200, declined.text
    (other,) = await others(evening.coordination, need_id)
    assert (other["offer_id"], other["rule"]) == (str(offer), "refused_before")


async def test_a_need_that_has_ended_seeks_no_place(evening: Evening) -> None:
    await evening.offer()
    need_id = await evening.need()
    await evening.coordination.http.post(f"/v1/needs/{need_id}/withdraw")
    explanation = await told(evening.coordination, need_id)
    assert (explanation["state"], explanation["others"]) == ("withdrawn", [])
    assert explanation["summary"] == "This need has ended; no place is sought for it any more."


async def test_the_rest_is_counted(evening: Evening) -> None:
    for _ in range(23):
        await evening.offer(capacity=1)
    explanation = await told(evening.coordination, await evening.need(people=2))
    assert len(await others(evening.coordination, UUID(str(explanation["need_id"])))) == 20
    assert explanation["counts"] == {"capacity": 3}


async def test_only_who_posted_the_need_reads_why(evening: Evening, client: JoinNetwork) -> None:
    need_id = await evening.need()
    stranger = await client(OrganizationKind.COORDINATION)
    for reader in (stranger, evening.town_hall):
        denied = await reader.http.get(f"/v1/needs/{need_id}/explanation")
        missing = await reader.http.get(f"/v1/needs/{uuid4()}/explanation")
        assert (denied.status_code, denied.content) == (404, missing.content)


async def named(reader: Organization, engine: AsyncEngine, offer_owner: UUID, place: PlaceRow) -> bool:
    """Whether a reader that posts a need learns which offer another place is."""
    async with transaction(engine) as tx:
        offer = await add_offer(tx, offer_owner, place=place, capacity=1)
        need_id = await add_need(tx, reader.id, people=2)
    (other,) = await others(reader, need_id)
    assert other["offer_id"] in (None, str(offer))
    return other["offer_id"] is not None


async def test_a_coordination_knows_the_offers_of_its_towns(evening: Evening) -> None:
    assert await named(evening.coordination, evening.engine, evening.town_hall.id, BRIANCON)


async def test_a_coordination_is_not_told_which_offers_there_are_elsewhere(evening: Evening) -> None:
    assert not await named(evening.coordination, evening.engine, evening.town_hall.id, MONTGENEVRE)


async def test_an_association_is_not_told_other_organizations_offers(
    evening: Evening, association: Organization
) -> None:
    assert not await named(association, evening.engine, evening.town_hall.id, BRIANCON)


async def test_an_organization_knows_its_own_offers(evening: Evening, association: Organization) -> None:
    assert await named(association, evening.engine, association.id, OULX)


@pytest.mark.parametrize(
    ("language", "border", "access"),
    [
        ("fr", "un autre pays (Italie)", "accès sans marches"),
        ("it", "un altro paese (Italia)", "accesso senza gradini"),
        ("es", "otro país (Italia)", "acceso sin escalones"),
        ("ar", "بلد آخر (إيطاليا)", "مدخل من دون درجات"),
    ],
)
async def test_reasons_are_told_in_the_readers_language(
    evening: Evening, language: str, border: str, access: str
) -> None:
    await evening.offer(provides=[])
    await evening.offer(place=OULX)
    need_id = await evening.need(requires=frozenset({"step_free"}))
    listed = (await told(evening.coordination, need_id, language))["others"]
    assert access in listed[0]["sentence"]
    assert border in listed[1]["sentence"]


def expected_keys() -> set[str]:
    return (
        {f"rule.{code}" for code in RULES}
        | {f"unmet.{code}" for code in RULES}
        | {f"term.{term}" for term in Term}
        | {f"way.{way}" for way in Way}
        | {f"chosen.{state}" for state in LIVE}
        | {f"access.{code}" for code in ACCESS}
        | {f"summary.{code}" for code in ("placed", "partly", "none", "fits", "ended")}
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_term_and_reason_has_a_sentence_in_every_language(language: str) -> None:
    said = {key for key, sentence in catalogue(language).items() if key.startswith(PREFIXES) and sentence.strip()}
    assert expected_keys() <= said


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_facts(language: str) -> None:
    for key in expected_keys():
        assert placeholders(catalogue(language)[key]) == placeholders(catalogue("en")[key]), key


def test_arabic_sentences_are_in_arabic() -> None:
    for key in expected_keys():
        words = re.sub(r"\{.*?\}", "", catalogue("ar")[key])
        assert re.search(r"[\u0600-\u06ff]", words), key
        assert not re.search(r"[A-Za-z]", words), key
