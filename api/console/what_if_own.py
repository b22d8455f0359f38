"""How many of one's own parties could sleep in a house that is not there, by every rule of the matching.

What enters are needs that this organization posted and that have no place, and the house alone: no need, offer, hold
or load of anybody else is read. It runs in a thread, of so many parties at most, and writes nothing.
"""

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from itertools import count
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from api.console.evenings import evening_of
from api.console.visits import Visit
from api.console.what_if_asked import Question
from api.wording import knows, say
from db import boards, seekers
from db.towns import TownFacts
from matching.imagined import Ground, imagined_offer
from matching.offering import OfferTerms
from matching.offers import Offer
from matching.one_house import HouseAlone, Lot, Waiting, whom_it_takes
from matching.policy import Policy
from matching.rules import RULES, Circumstances
from matching.vocabulary import Confirmation, SiteKind
from web.report_words import report_word

__all__ = ["OwnParties", "own_parties"]

MOST_PARTIES: Final = 500
_NOBODY: Final = UUID(int=0)
_OPENS, _CLOSES = time(18), time(9)
_MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class OwnParties:
    """Parties and people: all without a place, those whom the house takes, and the others by what keeps them out."""

    asked: Lot
    taken: Lot
    kept_out: Sequence[tuple[str, Lot]]
    together: int
    """Parties that take a place only with others, which are not looked at here."""
    cut: int | None
    """How many of the rest were looked at, where there are more."""


async def own_parties(visit: Visit, asked: Question, town: TownFacts, policy: Policy) -> OwnParties:
    """Reckon it for the parties that wait now, the most urgent first, taken no farther than is asked."""
    tx, whose = visit.tx, visit.who.organization_id
    now = await boards.clock(tx)
    found = await seekers.without_a_place(tx, whose, asked.category, policy, MOST_PARTIES + 1)
    waiting = [Waiting(each.need, each.people_left) for each in found[:MOST_PARTIES]]
    reach = replace(policy, radius_km=min(policy.radius_km, asked.km))
    alone = await to_thread(whom_it_takes, _house(asked, town, now), waiting, Circumstances(reach, now))
    return OwnParties(
        asked=alone.asked,
        taken=alone.taken,
        kept_out=_in_words(alone, visit.language),
        together=await seekers.waiting_together(tx, whose, asked.category),
        cut=MOST_PARTIES if len(found) > MOST_PARTIES else None,
    )


def _house(asked: Question, town: TownFacts, now: datetime) -> Offer:
    """An empty municipal house in the middle of the town, open from this evening on."""
    first = evening_of(now, ZoneInfo(town.timezone))
    terms = OfferTerms(
        category=asked.category,
        capacity=asked.places,
        audience=frozenset({asked.audience}),
        provides=asked.wishes,
        confirmation=Confirmation.EACH,
        confirm_within_minutes=_MINUTES,
        first_day=first,
        last_day=first + timedelta(days=asked.nights - 1),
        timezone=town.timezone,
        opens=_OPENS,
        closes=_CLOSES,
        rrule="FREQ=DAILY",
        slot_minutes=None,
        party_max=None,
        nights_max=None,
        arrive_by=None,
        release_no_shows=False,
        language=None,
    )
    ground = Ground(town.id, town.cell, town.country, town.timezone, SiteKind.MUNICIPAL_BUILDING)
    return imagined_offer(_NOBODY, _NOBODY, terms, asked.coverage, ground, now, count(-1, -1))


def _in_words(alone: HouseAlone, language: str) -> list[tuple[str, Lot]]:
    """By the rule that keeps most people out first."""
    order = list(RULES)
    rules = sorted(alone.kept_out, key=lambda rule: (-alone.kept_out[rule].people, order.index(rule)))
    return [(_reason(rule, language), alone.kept_out[rule]) for rule in rules]


def _reason(rule: str, language: str) -> str:
    key = f"console.whatif.out.{rule}"
    return say(key, language) if knows(key) else report_word(f"reason.{rule}", language)
