"""The pacts of an organization: with which towns, how many a week each way, how full this week is; and signing one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.pages import PACTS, page
from api.console.referrals import asked_cards
from api.console.visits import ConsoleRoute, ReadsPacts, SignsPacts, Visit, gone_to
from api.moments import date_in_full
from api.wording import knows, say
from db import pact_facts, pact_weeks, pacts, towns
from db.keys import Scope
from db.pact_facts import PactFacts, VersionFacts
from db.towns import TownFacts
from matching.pacts import PactTerms
from matching.refusals import Invalid
from matching.states import PactState
from matching.vocabulary import Acceptance, DeclineReason

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_ORDER: Final = ("to_sign", "proposed", "in_force", "idle", "ended")
"""What somebody has to do comes first, what is over last."""


@dataclass(frozen=True, slots=True)
class Direction:
    """How many people a week one of the towns takes from the other, and how many count this week."""

    words: str
    week: str
    most: int
    used: int


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that was agreed on."""

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Version:
    """Terms, whole; `waits` says for whose signature."""

    number: int
    terms: list[Term]
    waits: str
    to_sign: bool


@dataclass(frozen=True, slots=True)
class PactCard:
    """A pact as one of its two towns sees it."""

    id: UUID
    stands: str
    own: str
    other: str
    state: str
    notice: str
    ways: list[Direction]
    in_force: Version | None
    proposed: Version | None


@dataclass(frozen=True, slots=True)
class _Signing:
    """What somebody is asked about once more before it is signed."""

    title: str
    counts: str
    times: str


@router.get(PACTS)
async def list_pacts(request: Request, visit: ReadsPacts) -> Response:
    """Those that wait for a signature of this organization first."""
    found = await pact_facts.at_hand(visit.tx, visit.who.organization_id)
    places = await towns.several(visit.tx, {side.town_id for each in found for side in (each.proposer, each.partner)})
    used = await pact_weeks.this_week(visit.tx, [each.id for each in found])
    cards = [_Seen(each, visit, places).card(used) for each in found]
    return await page(
        request,
        "pacts",
        asked=await asked_cards(visit),
        reasons=list(DeclineReason),
        pacts=sorted(cards, key=lambda card: _ORDER.index(card.stands)),
        may_sign=Scope.PACTS_WRITE in visit.who.scopes,
    )


@router.post("/console/pacts/{pact_id}/sign")
async def sign_pact(pact_id: UUID, request: Request, visit: SignsPacts) -> Response:
    """Sign the version whose terms were shown, once it is said for sure."""
    number = visit.form.number("number")
    if not visit.form.first("sure"):
        return await _ask_again(request, visit, pact_id, number)
    await pacts.sign(visit.tx, pact_id, visit.who.organization_id, number)
    visit.note(pact_id)
    visit.ring()
    return gone_to(PACTS)


async def _ask_again(request: Request, visit: Visit, pact_id: UUID, number: int) -> Response:
    pact = await pact_facts.read(visit.tx, pact_id, visit.who.organization_id)
    version = next((each for each in pact.versions if each.number == number), None)
    if version is None:
        raise Invalid.one("/number", "unknown_version")
    seen = _Seen(pact, visit, await towns.several(visit.tx, (pact.proposer.town_id, pact.partner.town_id)))
    card = _Signing(
        title=f"{seen.own.name} – {seen.other.name}",
        counts=say("console.pact.version", visit.language, number=number),
        times=seen.days(version.terms.first_day, version.terms.last_day),
    )
    answer = {"number": number}
    return await page(request, "sure", question="console.pact.sign.sure", card=card, answer=answer, back=PACTS)


class _Seen:
    """A pact from the side of the organization that reads it."""

    def __init__(self, pact: PactFacts, visit: Visit, places: Mapping[int, TownFacts]) -> None:
        self._pact = pact
        self._me = visit.who.organization_id
        self._language = visit.language
        self._proposes = pact.proposer.organization_id == self._me
        own, other = (pact.proposer, pact.partner) if self._proposes else (pact.partner, pact.proposer)
        self.own, self.other = places[own.town_id], places[other.town_id]
        self._zone = ZoneInfo(places[pact.proposer.town_id].timezone)

    def card(self, used: Mapping[tuple[UUID, int], int]) -> PactCard:
        """The pact; `used` counts this week's people by pact and town."""
        pact, newest = self._pact, self._pact.versions[-1]
        held = next((each for each in pact.versions if each.number == pact.in_force), None)
        proposed = newest if newest.agreed_at is None and pact.state is not PactState.ENDED else None
        notice = pact.notice.ends_at.astimezone(self._zone).date() if pact.notice else None
        return PactCard(
            id=pact.id,
            stands=self._stands(proposed),
            own=self.own.name,
            other=self.other.name,
            state=self._state(held),
            notice=self._say("notice", day=date_in_full(notice, self._language)) if notice else "",
            ways=self._ways(held, used) if held else [],
            in_force=self._version(held) if held else None,
            proposed=self._version(proposed) if proposed else None,
        )

    def days(self, first: date, last: date) -> str:
        """From day to day, both included."""
        return f"{date_in_full(first, self._language)} – {date_in_full(last, self._language)}"

    def _stands(self, proposed: VersionFacts | None) -> str:
        if self._pact.state is PactState.ENDED:
            return "ended"
        if proposed is not None:
            return "proposed" if self._has_signed(proposed) else "to_sign"
        return "in_force" if self._pact.in_force else "idle"

    def _state(self, held: VersionFacts | None) -> str:
        if held is not None:
            return self._say("in_force", day=date_in_full(held.terms.last_day, self._language))
        return self._say(f"state.{self._pact.state}")

    def _ways(self, held: VersionFacts, used: Mapping[tuple[UUID, int], int]) -> list[Direction]:
        ways = []
        for town, most, words in self._each_way(held.terms):
            people = used.get((self._pact.id, town.id), 0)
            ways.append(Direction(words, self._say("week", used=people, most=most), most, people))
        return ways

    def _each_way(self, terms: PactTerms) -> list[tuple[TownFacts, int, str]]:
        """Who takes, at most how many a week, and that in words: first this town, then the other."""
        mine, theirs = terms.to_proposer_per_week, terms.to_partner_per_week
        if not self._proposes:
            mine, theirs = theirs, mine
        ways = (("we_take", self.own, mine), ("they_take", self.other, theirs))
        return [
            (town, most, self._say(key if most else f"{key}.nobody", town=self.other.name, count=most))
            for key, town, most in ways
        ]

    def _version(self, version: VersionFacts) -> Version:
        signed = self._has_signed(version)
        waits = "" if version.agreed_at else self._say("waits_for", town=self.other.name) if signed else ""
        return Version(version.number, self._terms(version), waits, not signed)

    def _has_signed(self, version: VersionFacts) -> bool:
        return any(each.organization_id == self._me for each in version.signatures)

    def _terms(self, version: VersionFacts) -> list[Term]:
        terms = version.terms
        answer = (
            self._say("answer.standing")
            if terms.acceptance is Acceptance.STANDING
            else self._say("answer.each", minutes=terms.answer_within_minutes)
        )
        said = {
            "people": " · ".join(words for _, _, words in self._each_way(terms)),
            "for": " · ".join(self._category(code) for code in sorted(terms.categories)),
            "border": self._say("border.yes" if terms.crosses_border else "border.no"),
            "way": self._say(f"way.{terms.transport}"),
            "answer": answer,
            "days": self.days(terms.first_day, terms.last_day),
            "notice_days": self._say("notice_days.are", count=terms.notice_days),
        }
        return [Term(self._say(f"term.{name}"), words) for name, words in said.items()]

    def _category(self, code: str) -> str:
        key = f"slip.category.{code}"
        return say(key, self._language) if knows(key) else code

    def _say(self, key: str, **facts: str | int) -> str:
        return say(f"console.pact.{key}", self._language, **facts)
