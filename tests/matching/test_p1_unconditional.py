"""P1, unconditional: the matching has no word for who people are, and what it need not know changes nothing."""

from dataclasses import fields, replace
from enum import Enum
from types import ModuleType
from uuid import uuid4

import pytest

from geo.distance import kilometres_between
from matching import explain, needs, offers, policy, posting, rules, states, vocabulary
from matching.assign import Candidate, ranked
from matching.explain import unmet_reasons
from matching.needs import Need, NeedId
from matching.rules import cover, failures
from matching.vocabulary import Stay, Urgency
from tests.db.worlds import World
from tests.matching.builders import AT

FORBIDDEN = (
    "nationality", "national", "citizen", "country_of_origin", "origin", "ethnic", "race", "religion", "faith",
    "muslim", "christian", "passport", "document", "visa", "asylum", "refugee", "migrant",
    "undocumented", "legal_status",
    "papers", "residence", "permit", "dublin", "name", "phone", "email", "birth", "gender",
)  # fmt: skip
WORLD = World.of(7, offers=60, needs=60)
ROOMS: tuple[ModuleType, ...] = (explain, needs, offers, policy, posting, rules, states, vocabulary)


def words_of(room: ModuleType) -> set[str]:
    """Every code of a room's vocabularies and every field of its values."""
    found: set[str] = set()
    for thing in vars(room).values():
        if isinstance(thing, type) and issubclass(thing, Enum):
            found |= {str(each.value) for each in thing}
        elif isinstance(thing, frozenset):
            found |= {each for each in thing if isinstance(each, str)}
        elif isinstance(thing, type) and hasattr(thing, "__dataclass_fields__"):
            found |= {field.name for field in fields(thing)}
    return found


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_no_word_of_the_domain_says_who_people_are(room: ModuleType) -> None:
    for word in words_of(room):
        parts = set(word.replace(":", "_").split("_")) | {word}
        assert not parts & set(FORBIDDEN), word


def variants(need: Need) -> list[Need]:
    """The same need with another id, another stay, another urgency, and its sets filled in another order."""
    return [
        replace(need, id=NeedId(uuid4())),
        *(replace(need, stay=stay) for stay in Stay),
        *(replace(need, urgency=urgency) for urgency in Urgency),
        replace(
            need,
            requires=frozenset(sorted(need.requires, reverse=True)),
            countries=frozenset(sorted(need.countries, reverse=True)),
        ),
    ]


def ranks(need: Need) -> list[Candidate]:
    found = []
    for offer in WORLD.offers:
        if next(failures(need, offer, AT), None) is None:
            slots = cover(need, offer, AT.now)
            numbers = tuple(slot.id for slot in slots)
            free, capacity = min(slot.free for slot in slots), min(slot.capacity for slot in slots)
            km = kilometres_between(need.cell, offer.cell)
            found.append(Candidate(offer.id, numbers, free, capacity, km, offer.id.int >> 65, 1))
    return ranked(found, AT.policy)


@pytest.mark.parametrize("number", range(len(WORLD.needs)))
def test_what_does_not_matter_changes_no_verdict_no_rank_and_no_reason(number: int) -> None:
    need = WORLD.needs[number]
    for variant in variants(need):
        assert ranks(variant) == ranks(need)
        assert unmet_reasons(variant, WORLD.offers, AT) == unmet_reasons(need, WORLD.offers, AT)


def test_the_worlds_in_which_nothing_changes_are_not_empty() -> None:
    assert sum(len(ranks(need)) for need in WORLD.needs) > 50
