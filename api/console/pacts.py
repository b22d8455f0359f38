"""The pacts of an organization: with which towns, how many a week each way, how full this week is; signing, ending one.

Whoever ends a pact is told before what that does: whether it goes on for the days of its notice, or ends at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.pact_words import PactSide, Term
from api.console.pages import PACTS, page
from api.console.referrals import asked_cards
from api.console.visits import ConsoleRoute, ReadsPacts, SignsPacts, Visit, gone_to
from api.moments import date_in_full
from db import boards, pact_facts, pact_weeks, pacts, towns
from db.keys import Scope
from db.pact_facts import PactFacts, VersionFacts
from matching.refusals import Invalid
from matching.states import PactState
from matching.vocabulary import DeclineReason, OrganizationKind

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
    ending: str
    """What it would do to end it now; nothing where one has done so already, or it has ended."""
    ways: list[Direction]
    in_force: Version | None
    proposed: Version | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody is asked about once more before it is signed or ended."""

    title: str
    counts: str
    times: str


@router.get(PACTS)
async def list_pacts(request: Request, visit: ReadsPacts) -> Response:
    """Those that wait for a signature of this organization first."""
    own, kind = visit.who.organization_id, visit.who.kind
    found = await pact_facts.at_hand(visit.tx, own)
    places = await towns.several(visit.tx, {side.town_id for each in found for side in (each.proposer, each.partner)})
    used = await pact_weeks.this_week(visit.tx, [each.id for each in found])
    now = await boards.clock(visit.tx)
    cards = [_Seen(each, own, PactSide.of(each, own, places, visit.language)).card(used, now) for each in found]
    may_sign = Scope.PACTS_WRITE in visit.who.scopes
    return await page(
        request,
        "pacts",
        asked=await asked_cards(visit),
        reasons=list(DeclineReason),
        pacts=sorted(cards, key=lambda card: _ORDER.index(card.stands)),
        may_sign=may_sign,
        may_propose=may_sign and kind is not OrganizationKind.ASSOCIATION,
        number=own,
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


@router.post("/console/pacts/{pact_id}/end")
async def end_pact(pact_id: UUID, request: Request, visit: SignsPacts) -> Response:
    """Give notice or end it, once that is said for sure; not where it does something else by now than was told."""
    own, language = visit.who.organization_id, visit.language
    # What it does is looked at when the other town can do nothing any more.
    await pacts.lock(visit.tx, pact_id, own)
    pact = await pact_facts.read(visit.tx, pact_id, own)
    does = _ending(pact, own)
    if does is None:
        return gone_to(PACTS)
    if visit.form.first("sure") and visit.form.first("does") == does:
        await pacts.end(visit.tx, pact_id, own)
        visit.note(pact_id)
        visit.ring()
        return gone_to(PACTS)
    side = await PactSide.read(visit.tx, pact, own, language)
    newest = pact.versions[-1]
    days = side.days(newest.terms.first_day, newest.terms.last_day)
    return await page(
        request,
        "sure",
        status=409 if visit.form.first("sure") else 200,
        question=f"console.pact.end.{does}.sure",
        card=_Asked(side.title, side.say("version", number=newest.number), days),
        lead=_ending_words(does, pact, side, await boards.clock(visit.tx)),
        answer={"does": does},
        back=PACTS,
    )


def _ending(pact: PactFacts, own: UUID) -> str | None:
    """What ending it does now, if anything: it goes on until its notice is over, or ends at once."""
    if pact.state is PactState.ENDED or (pact.notice and pact.notice.organization_id == own):
        return None
    return "at_once" if pact.state is PactState.PROPOSED or pact.notice else "notice"


def _ending_words(does: str, pact: PactFacts, side: PactSide, now: datetime) -> str:
    if does == "at_once":
        return side.say("end.at_once")
    # Of the versions that both signed the newest says for how long.
    days = next(each.terms.notice_days for each in reversed(pact.versions) if each.agreed_at)
    last = (now + timedelta(days=days)).astimezone(side.zone).date()
    return side.say("end.notice", count=days, day=date_in_full(last, side.language))


async def _ask_again(request: Request, visit: Visit, pact_id: UUID, number: int) -> Response:
    own = visit.who.organization_id
    pact = await pact_facts.read(visit.tx, pact_id, own)
    version = next((each for each in pact.versions if each.number == number), None)
    if version is None:
        raise Invalid.one("/number", "unknown_version")
    side = await PactSide.read(visit.tx, pact, own, visit.language)
    card = _Asked(
        title=side.title,
        counts=side.say("version", number=number),
        times=side.days(version.terms.first_day, version.terms.last_day),
    )
    answer = {"number": number}
    return await page(request, "sure", question="console.pact.sign.sure", card=card, answer=answer, back=PACTS)


class _Seen:
    """A pact from the side of the organization that reads it."""

    def __init__(self, pact: PactFacts, own: UUID, side: PactSide) -> None:
        self._pact = pact
        self._me = own
        self._side = side

    def card(self, used: Mapping[tuple[UUID, int], int], now: datetime) -> PactCard:
        """The pact; `used` counts this week's people by pact and town."""
        pact, side, newest = self._pact, self._side, self._pact.versions[-1]
        held = next((each for each in pact.versions if each.number == pact.in_force), None)
        proposed = newest if newest.agreed_at is None and pact.state is not PactState.ENDED else None
        notice = pact.notice.ends_at.astimezone(side.zone).date() if pact.notice else None
        does = _ending(pact, self._me)
        return PactCard(
            id=pact.id,
            stands=self._stands(proposed),
            own=side.own.name,
            other=side.other.name,
            state=self._state(held),
            notice=side.say("notice", day=date_in_full(notice, side.language)) if notice else "",
            ending=_ending_words(does, pact, side, now) if does else "",
            ways=self._ways(held, used) if held else [],
            in_force=self._version(held) if held else None,
            proposed=self._version(proposed) if proposed else None,
        )

    def _stands(self, proposed: VersionFacts | None) -> str:
        if self._pact.state is PactState.ENDED:
            return "ended"
        if proposed is not None:
            return "proposed" if self._has_signed(proposed) else "to_sign"
        return "in_force" if self._pact.in_force else "idle"

    def _state(self, held: VersionFacts | None) -> str:
        if held is not None:
            return self._side.say("in_force", day=date_in_full(held.terms.last_day, self._side.language))
        return self._side.say(f"state.{self._pact.state}")

    def _ways(self, held: VersionFacts, used: Mapping[tuple[UUID, int], int]) -> list[Direction]:
        ways = []
        for town, most, words in self._side.each_way(held.terms):
            people = used.get((self._pact.id, town.id), 0)
            ways.append(Direction(words, self._side.say("week", used=people, most=most), most, people))
        return ways

    def _version(self, version: VersionFacts) -> Version:
        signed = self._has_signed(version)
        waits = self._side.say("waits_for", town=self._side.other.name) if signed and not version.agreed_at else ""
        return Version(version.number, self._side.terms(version.terms), waits, not signed)

    def _has_signed(self, version: VersionFacts) -> bool:
        return any(each.organization_id == self._me for each in version.signatures)
