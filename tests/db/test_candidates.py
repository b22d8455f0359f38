"""The candidate statement asks what the rules ask, of the offers that are near, through the indexes."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.candidates import STATEMENTS, find
from geo.distance import kilometres_between
from matching.needs import Need, OfferId
from matching.offers import Offer
from matching.policy import FIRST_POLICY
from matching.rules import RULES, Circumstances, cover, failures
from matching.vocabulary import Coverage
from tests.builders import add_organization
from tests.db.worlds import NOW, World

ALL = replace(FIRST_POLICY, candidates=10_000)
AT = Circumstances(ALL, NOW)
SEED = 20261201

Found = dict[OfferId, tuple[tuple[int, ...], int, int, int]]
"""By offer: the slots, the places free, the capacity, and the kilometres."""


@pytest.fixture
async def world(tx: AsyncConnection) -> AsyncIterator[World]:
    """Three hundred needs and two hundred and forty offers of all three coverage rules."""
    made = await World.of(SEED, offers=240, needs=300).build(tx, await add_organization(tx))
    await tx.execute(text("analyze offer, slot"))
    yield made


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
    return {
        each.offer_id: (each.slots, each.free, each.capacity, each.distance)
        for each in await find(tx, need, ALL, NOW)
    }


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
    seen = Counter(lone_failures(World.of(SEED, offers=240, needs=300)))
    for coverage in Coverage:
        missing = {rule for rule in RULES if not seen[coverage, rule]}
        assert missing <= ({"stay_length"} if coverage is not Coverage.EVERY else set()), (coverage, seen)


BROKEN = {
    "state": (" o.state = 'open' and", " o.state <> 'closed' and"),
    "category": (" and o.category = :category", ""),
    "distance": ("and st_dwithin(o.point, cast(:point as geography), :metres, false)", ""),
    "rounding": (":metres, false)", ":metres - 500, false)"),
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
    "every night": ("count(*) = cardinality(cast(:days as date[])) and ", ""),
    "arrival at the first night": (
        "and (array_agg(s.last_arrival order by s.starts))[1] > :arrives",
        "and (array_agg(s.last_arrival order by s.starts))[1] >= :arrives",
    ),
    "room": ("(s.capacity - s.used) >= :least", "(s.capacity - s.used) >= 0"),
    "room in one": ("and s.capacity - s.used >= :least", ""),
    "arrival": ("and s.last_arrival > :arrives", ""),
    "half a slot": ("and (least(s.ends, :ends) - greatest(s.starts, :arrives)) * 2 >= s.ends - s.starts", ""),
    "the first slot": ("order by s.starts\n     limit 1", "order by s.starts desc\n     limit 1"),
    "sessions ahead": ("and s.starts >= :arrives", ""),
    "joining in the window": ("min(s.starts) < :ends and ", ""),
}
"""Clauses, and what they are replaced by to see whether it would be noticed."""


@pytest.mark.parametrize("clause", BROKEN)
async def test_a_statement_that_forgets_a_clause_would_be_caught(
    tx: AsyncConnection, world: World, clause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, forgetful = BROKEN[clause]
    changed = {
        coverage: text(statement.text.replace(sound, forgetful))
        for coverage, statement in STATEMENTS.items()
        if sound in statement.text
    }
    assert changed, "the clause is in a statement"
    monkeypatch.setattr("db.candidates.STATEMENTS", changed)
    asked = [need for need in world.needs if need.coverage in changed]
    for need in asked:
        if await by_the_statement(tx, need) != by_the_rules(need, world.offers):
            return
    pytest.fail(f"nothing noticed the loss of: {clause}")
