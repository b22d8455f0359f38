"""The candidate statement asks what the rules ask, of the offers that are near, through the indexes."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates
from db.candidates import find, parameters
from db.roles import Role
from db.seekers import read_seeker
from geo.cells import Point, cell_of, centroid
from geo.distance import great_circle, kilometres_between
from matching.assign import ranked
from matching.needs import Need, OfferId
from matching.offers import Offer
from matching.policy import FIRST_POLICY
from matching.rules import RULES, Circumstances, cover, failures
from matching.vocabulary import Coverage
from tests.builders import COVERAGES, add_need, add_offer, add_organization
from tests.db.worlds import NOW, World
from tests.places import BRIANCON, MONTGENEVRE

ALL = replace(FIRST_POLICY, candidates=10_000)
AT = Circumstances(ALL, NOW)
SEED = 20261204

Found = dict[OfferId, tuple[tuple[int, ...], int, int, int]]
"""By offer: the slots, the places free, the capacity, and the kilometres."""


@pytest.fixture
async def world(tx: AsyncConnection) -> World:
    """Three hundred needs and as many offers of all three coverage rules."""
    made = await World.of(SEED, offers=300, needs=300).build(tx, await add_organization(tx))
    await tx.execute(text("analyze offer, slot"))
    return made


def statements() -> dict[str, Mapping[Coverage, TextClause]]:
    """Every candidate statement, by the name of its table of coverages."""
    return {
        name: table
        for name, table in vars(candidates).items()
        if isinstance(table, Mapping) and table and all(isinstance(each, TextClause) for each in table.values())
    }


def by_the_rules(need: Need, offers: tuple[Offer, ...]) -> Found:
    found: Found = {}
    for offer in offers:
        if next(failures(need, offer, AT), None) is None:
            slots = cover(need, offer, NOW)
            found[offer.id] = (
                tuple(slot.id for slot in slots),
                min(slot.free for slot in slots),
                min(slot.capacity for slot in slots),
                kilometres_between(need.cell, offer.cell),
            )
    return found


async def by_the_statement(tx: AsyncConnection, need: Need) -> Found:
    found = await find(tx, need, ALL, NOW)
    return {each.offer_id: (each.slots, each.free, each.capacity, each.distance) for each in found}


def lone_failures(world: World) -> Iterator[tuple[Coverage, str]]:
    """For each pair that one rule alone keeps apart, the coverage and the rule; closed implies no room."""
    for need in world.needs:
        for offer in world.offers:
            codes = [failure.rule for failure in failures(need, offer, AT)]
            if codes in (["window", "capacity"], codes[:1]) and codes:
                yield need.coverage, codes[0]


async def test_the_statement_finds_what_the_rules_allow(tx: AsyncConnection, world: World) -> None:
    for need in world.needs:
        assert await by_the_statement(tx, need) == by_the_rules(need, world.offers), need


def test_in_the_generated_worlds_each_rule_alone_keeps_some_place_away() -> None:
    seen = Counter(lone_failures(World.of(SEED, offers=300, needs=300)))
    for coverage in Coverage:
        missing = {rule for rule in RULES if not seen[coverage, rule]}
        assert missing <= ({"stay_length"} if coverage is not Coverage.EVERY else set()), (coverage, seen)


BROKEN = {
    "state": (" o.state = 'open' and", " o.state <> 'closed' and"),
    "category": (" and o.category = :category", ""),
    "distance": (":metres", ":metres + 1000"),
    "rounding": (":metres", ":metres - 500"),
    "kilometres": ("/ 1000 + 0.5)", "/ 1000)"),
    "border": ("and o.country = any(cast(:countries as text[]))", ""),
    "stale": ("and o.verified_at > :fresh_since", ""),
    "stale to the moment": ("o.verified_at > :fresh_since", "o.verified_at >= :fresh_since"),
    "unvetted homes": ("h.vetted_at is not null and not :alone", "not :alone"),
    "minors in homes": ("h.vetted_at is not null and not :alone", "h.vetted_at is not null"),
    "open audience": ("o.audience @> array['anyone'] or ", ""),
    "reserved audience": (" or o.audience && cast(:audience as text[])", ""),
    "what the site provides": ("<@ (h.provides || o.provides)", "<@ o.provides"),
    "what the offer provides": ("<@ (h.provides || o.provides)", "<@ h.provides"),
    "what is required": ("and cast(:requires as text[]) <@ (h.provides || o.provides)", ""),
    "language": ("o.teaches = :teaches and ", ""),
    "level": (" and (cast(:level as text) is null or o.level = :level)", ""),
    "any level": ("cast(:level as text) is null or ", ""),
    "party size": ("and (o.party_max is null or :divisible or o.party_max >= :people)", ""),
    "party size to the head": ("o.party_max >= :people", "o.party_max > :people"),
    "parties that may be split": ("o.party_max is null or :divisible or", "o.party_max is null or"),
    "stay length": ("and (o.nights_max is null or o.nights_max >= :nights)", ""),
    "refused": ("and o.id <> all(cast(:turned_down as uuid[]))", ""),
    "every night": ("count(*) = :nights and ", ""),
    "arrival at the first night": ("min(s.last_arrival) > :arrives", "min(s.last_arrival) >= :arrives"),
    "room": ("(s.capacity - s.used) >= :least", "(s.capacity - s.used) >= 0"),
    "room in one": ("and s.capacity - s.used >= :least", ""),
    "arrival": ("and s.last_arrival > :arrives", ""),
    "half a slot": ("and (least(s.ends, :ends) - greatest(s.starts, :arrives)) * 2 >= s.ends - s.starts", ""),
    "the first slot": ("order by s.starts\n     limit 1", "order by s.starts desc\n     limit 1"),
    "sessions ahead": ("and s.starts >= :arrives", ""),
    "joining in the window": ("min(s.starts) < :ends and ", ""),
}
"""Clauses, and what they are replaced by to see whether it would be noticed."""


async def test_a_statement_that_forgets_any_clause_would_be_caught(
    tx: AsyncConnection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound_tables = statements()
    unnoticed = []
    for clause, (sound, forgetful) in BROKEN.items():
        for name, table in sound_tables.items():
            broken = {coverage: text(each.text.replace(sound, forgetful)) for coverage, each in table.items()}
            monkeypatch.setattr(candidates, name, broken)
        changed = {coverage for table in sound_tables.values() for coverage in table if sound in table[coverage].text}
        assert changed, f"no statement has the clause: {clause}"
        if not await differ(tx, world, changed):
            unnoticed.append(clause)
    assert unnoticed == []


async def differ(tx: AsyncConnection, world: World, coverages: set[Coverage]) -> bool:
    """Whether statement and rules disagree on some need of these coverages."""
    for need in world.needs:
        if need.coverage in coverages and await by_the_statement(tx, need) != by_the_rules(need, world.offers):
            return True
    return False


@pytest.mark.parametrize("most", [1, 3, 24])
async def test_of_many_that_fit_the_nearest_are_weighed(tx: AsyncConnection, world: World, most: int) -> None:
    for need in world.needs:
        middle = centroid(need.cell)
        away = {offer.id: great_circle(middle, centroid(offer.cell)) for offer in world.offers}
        fitting = by_the_rules(need, world.offers)
        last = max(sorted(away[offer] for offer in fitting)[:most], default=0.0)
        found = await find(tx, need, replace(FIRST_POLICY, candidates=most), NOW)
        # As far as the last is as near as the last.
        assert {each.offer_id for each in found} == {offer for offer in fitting if away[offer] <= last + 1e-6}, need


@pytest.mark.parametrize("most", [3, 10_000])
async def test_behind_hundreds_of_places_that_do_not_fit_the_one_that_does_is_found(
    tx: AsyncConnection, most: int
) -> None:
    town_hall = await add_organization(tx)
    small = await add_offer(tx, town_hall, party_max=1)
    await tx.execute(text(_COPIES), {"pattern": small, "copies": 400, "category": "shelter", "spread": 0})
    behind = await add_offer(tx, town_hall, place=MONTGENEVRE)
    need = await needed(tx, town_hall, people=2)
    found = await find(tx, need, replace(FIRST_POLICY, candidates=most), await seeking_now(tx))
    assert [each.offer_id for each in found] == [behind]


async def test_ranking_depends_on_the_cell_alone_and_equals_are_drawn_by_their_tie(tx: AsyncConnection) -> None:
    one, another = BRIANCON.point, Point(BRIANCON.longitude + 0.001, BRIANCON.latitude - 0.001)
    assert cell_of(one) == cell_of(another)
    town_hall = await add_organization(tx)
    offers = []
    for tie, exact in ((7, one), (3, another)):
        offers.append(await add_offer(tx, town_hall, tie=tie))
        location = {"id": offers[-1], "where": repr(exact).encode()}
        await tx.execute(text(_LOCATION), location)
    need, now = await needed(tx, town_hall, people=2), await seeking_now(tx)

    async def order() -> list[OfferId]:
        found = await find(tx, need, FIRST_POLICY, now)
        assert len({each.distance for each in found}) == 1
        return [each.offer_id for each in ranked(found, FIRST_POLICY)]

    assert await order() == offers[::-1]
    await tx.execute(text("update offer set tie = 10 - tie"))
    assert await order() == offers


@pytest.mark.parametrize("category", COVERAGES)
async def test_candidates_are_found_through_the_indexes_however_many_offers_there_are(
    tx: AsyncConnection, category: str
) -> None:
    town_hall = await add_organization(tx)
    pattern = await add_offer(tx, town_hall, nights=2)
    await tx.execute(text("set local statement_timeout = '5min'"))  # a busy machine takes its time to copy
    await tx.execute(text(_COPIES), {"pattern": pattern, "copies": 20_000, "category": category, "spread": 0.01})
    await tx.execute(text("analyze offer, slot, site"))
    coverage = COVERAGES[category]
    need = replace(await needed(tx, town_hall), category=category, coverage=coverage)
    asked = parameters(need, FIRST_POLICY, await seeking_now(tx), need.people.count)
    # Of all who are bound by row security, the matching alone walks the map.
    await tx.execute(text(f"set local role {Role.MATCHER}"))
    for table in statements().values():
        plan = (await tx.execute(text("explain (format json) " + table[coverage].text), asked)).scalar_one()
        nodes = list(nodes_of(json.loads(plan) if isinstance(plan, str) else plan))
        assert "offer_category_point_idx" in {node.get("Index Name") for node in nodes}
        read_whole = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
        assert not read_whole & {"offer", "slot"}


_LOCATION = """
    insert into site_location (site_id, location) select site_id, cast(:where as bytea) from offer where id = :id
"""
_COPIES = """
    with made as (
        insert into offer
        select made.*
          from offer p, generate_series(1, :copies) n,
               jsonb_populate_record(p, jsonb_build_object(
                   'id', gen_random_uuid(), 'category', cast(:category as text), 'tie', n,
                   'point', st_asewkt(st_translate(cast(p.point as geometry),
                                         cast(:spread as float) * (n % 141 - 70),
                                         cast(:spread as float) * (n / 141 - 70))))) made
         where p.id = :pattern
        returning id
    )
    insert into slot (offer_id, day, starts, ends, last_arrival, capacity)
    select made.id, s.day, s.starts, s.ends, s.last_arrival, s.capacity
      from made, slot s where s.offer_id = :pattern
"""
"""An offer and its slots many times over, all at one site, spread over a square of 141 steps."""


def nodes_of(plan: object) -> Iterator[dict[str, str]]:
    """Every node of a plan."""
    if isinstance(plan, list):
        for part in plan:
            yield from nodes_of(part)
    elif isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for part in plan.values():
            yield from nodes_of(part)


async def needed(tx: AsyncConnection, organization_id: UUID, **terms: object) -> Need:
    """A posted need as the matching sees it."""
    need_id = await add_need(tx, organization_id, **terms)
    return (await read_seeker(tx, need_id, FIRST_POLICY)).need


async def seeking_now(tx: AsyncConnection) -> datetime:
    """The database's clock."""
    now: datetime = (await tx.execute(text("select clock_timestamp()"))).scalar_one()
    return now
