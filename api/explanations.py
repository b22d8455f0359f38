"""Why this place, and why not the others: decisions told to the organization that posted the need.

Another organization's offer is named only to those who may know it; to others it is a distance and a reason.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from babel import Locale
from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.authorization import Caller, ReadsNeeds
from api.moments import about
from api.partners import MOST_PARTNERS, PartnerOut, partners_of
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import Wire
from api.wording import language_of, say
from db import allocations, needs, policies, seekers, surroundings
from db.allocations import AllocationFacts
from db.roles import Role, acting_as
from geo.distance import Kilometres
from matching.assign import Cost, Decision, Way
from matching.explain import MOST_OTHERS, Chosen, Explanation, Other, Placement, Term, explain, unmet_reasons
from matching.needs import Need, OfferId
from matching.offers import Offer
from matching.rules import Circumstances, Facts, Failure
from matching.states import LIVE, SEEKING, NeedState
from matching.vocabulary import OrganizationKind

__all__ = ["explained", "router"]

router = APIRouter(prefix="/v1/needs", tags=["needs"], route_class=TransactionalRoute)
_ENDED = frozenset({NeedState.WITHDRAWN, NeedState.CLOSED})

Sentence = Annotated[str, Field(max_length=400)]
Code = Annotated[str, Field(max_length=40)]
Km = Annotated[int, Field(ge=0)]


class TermsOut(Wire):
    """What a place costs the party, in kilometres; less is better.

    `load` is how full the house is without it, `price` what its scarcity costs others, `town` and `association` what
    its hosts carry beyond their share of the network's load, `time` the minutes of the way as far as the policy weighs
    them, `preference` how far it is from what the people said on their slip.
    """

    travel: Annotated[float, Field(ge=0)]
    load: Annotated[float, Field(ge=0)]
    price: Annotated[float, Field(ge=0)]
    town: Annotated[float, Field(ge=0)]
    association: Annotated[float, Field(ge=0)]
    time: Annotated[float, Field(ge=0)]
    preference: Annotated[float, Field(ge=0)]


class DecisionOut(Wire):
    """How a place was chosen, by which round if by one, and what it cost at that moment."""

    way: Way
    round_id: Annotated[int, Field(ge=1)] | None
    terms: TermsOut
    sentence: Sentence


class ChosenOut(Wire):
    """A place that people of the need have.

    `terms` are as of now; `decision` tells those of then, and is null for places found before they were written down.
    """

    offer_id: UUID
    allocation_id: UUID
    state: Code
    people: Annotated[int, Field(ge=1)]
    distance_km: Km
    travel_minutes: Annotated[int, Field(ge=0)] | None
    terms: TermsOut
    decision: DecisionOut | None
    policy_version: Annotated[int, Field(ge=1)]
    sentence: Sentence


class OtherOut(Wire):
    """An offer nearby that was not chosen: `rule` is the first that it fails, else `term` is what it lost on.

    `offer_id` is null when the offer is not one that the reader may know.
    """

    offer_id: UUID | None
    distance_km: Km
    rule: Code | None
    term: Term | None
    facts: Annotated[dict[Code, int | Code], Field(max_length=4)]
    sentence: Sentence


class ExplanationOut(Wire):
    """Why a need has the place that it has, or none.

    `partners` are the towns to which pacts lead from where its people are looked after; where there is none, `no_pact`
    says so. `others` are the nearest, nearest first; `counts` says by rule or term why not the rest. Everything is as
    of now, under the policy of `policy_version`; each place in `chosen` carries the version that it was found under.
    """

    need_id: UUID
    state: NeedState
    policy_version: Annotated[int, Field(ge=1)]
    summary: Sentence
    chosen: Annotated[list[ChosenOut], Field(max_length=500)]
    others: Annotated[list[OtherOut], Field(max_length=MOST_OTHERS)]
    partners: Annotated[list[PartnerOut], Field(max_length=MOST_PARTNERS)]
    no_pact: Sentence | None
    counts: Annotated[dict[Code, Annotated[int, Field(ge=0)]], Field(max_length=40)]


@router.get("/{need_id}/explanation", responses=problems(403, 404))
async def explain_need(need_id: UUID, who: ReadsNeeds, tx: Tx, request: Request, reply: Reply) -> ExplanationOut:
    """Why this place, and why not each of the nearest others, in the language of `Accept-Language`."""
    language = language_of(request.headers.get("accept-language"))
    reply.headers |= {"Content-Language": language, "Vary": "Accept-Language"}
    return await explained(tx, who, need_id, language)


async def explained(tx: AsyncConnection, who: Caller, need_id: UUID, language: str) -> ExplanationOut:
    """The explanation of a need of the caller's organization. Raises `NotFound`."""
    asked = await needs.read(tx, need_id, who.organization_id)
    policy = await policies.in_force(tx)
    given = (await allocations.of_needs(tx, [need_id]))[need_id]
    placements = [_placement(each) for each in given if each.state in LIVE]
    async with acting_as(tx, Role.MATCHER):
        seeker = await seekers.read_seeker(tx, need_id, policy)
        at = Circumstances(policy, seeker.now)
        had = await surroundings.offers_by_id(tx, seeker.need, [each.offer_id for each in placements], policy, at.now)
        ended = asked.state in _ENDED or seeker.need.window.ends <= at.now
        around = [] if ended else await surroundings.offers_around(tx, seeker.need, policy, at.now)
        seeks = not ended and asked.state in SEEKING
        partners = await partners_of(tx, need_id, who.organization_id, policy, language, seeks=seeks)
    told = explain(seeker.need, placements, had, around, at, in_project=seeker.in_project)
    known = frozenset(each.offer_id for each in given)
    return ExplanationOut(
        need_id=need_id,
        state=asked.state,
        policy_version=policy.version,
        summary=say("summary.ended", language)
        if ended
        else partners.referred or _summary(told, seeker.need, around, at, language),
        partners=partners.told,
        no_pact=say("pact.none", language) if seeks and not partners.told else None,
        chosen=[_chosen(each, language) for each in told.chosen],
        others=[_other(each, language, named=_may_know(who, each.offer, known)) for each in told.others],
        counts=dict(told.counts),
    )


def _placement(each: AllocationFacts) -> Placement:
    return Placement(
        allocation_id=each.id,
        offer_id=OfferId(each.offer_id),
        state=each.state,
        people=each.people,
        distance=Kilometres(each.distance_km),
        policy_version=each.policy_version,
        begins=frozenset(slot.starts for slot in each.slots),
        minutes=each.travel_minutes,
        tentative=each.tentative,
        decision=each.decision,
    )


def _may_know(who: Caller, offer: Offer, allocated: frozenset[UUID]) -> bool:
    """Whether the reader may learn which offer this is: its own, one of its towns, or one it was given before."""
    if offer.organization_id == who.organization_id or offer.id in allocated:
        return True
    return who.kind is OrganizationKind.COORDINATION and offer.town_id in who.towns


def _summary(told: Explanation, need: Need, around: Sequence[Offer], at: Circumstances, language: str) -> str:
    if told.left == 0:
        return say("summary.placed", language, count=len(told.others) + sum(told.counts.values()))
    if told.chosen:
        people = need.people.count
        return say("summary.partly", language, placed=people - told.left, people=people)
    reasons = unmet_reasons(need, around, at)
    terms = {other.code for other in told.others}
    if Term.PLAN in terms:
        return say("summary.plan", language)
    if Term.FITS in terms or not reasons:
        return say("summary.fits", language)
    # Of reasons met equally often, the one that is checked first.
    most = max(reasons, key=lambda rule: reasons[rule])
    return say("summary.none", language, reason=say(f"unmet.{most}", language, count=reasons[most]))


def _chosen(each: Chosen, language: str) -> ChosenOut:
    place = each.placement
    sentence = say(f"chosen.{place.state}", language, km=place.distance)
    if place.minutes is not None:
        sentence += f" {say('chosen.minutes', language, minutes=about(place.minutes))}"
    return ChosenOut(
        offer_id=place.offer_id,
        allocation_id=place.allocation_id,
        state=place.state,
        people=place.people,
        distance_km=place.distance,
        travel_minutes=place.minutes,
        terms=_terms(each.cost),
        decision=None if place.decision is None else _decision(place.decision, language),
        policy_version=place.policy_version,
        sentence=sentence,
    )


def _terms(cost: Cost) -> TermsOut:
    return TermsOut(**{name: round(km, 1) for name, km in asdict(cost).items()})


def _decision(made: Decision, language: str) -> DecisionOut:
    return DecisionOut(
        way=made.way,
        round_id=made.round_id,
        terms=_terms(made.cost),
        sentence=say(f"way.{made.way}", language, round=made.round_id or 0),
    )


def _other(each: Other, language: str, *, named: bool) -> OtherOut:
    failed = isinstance(each.reason, Failure)
    kind = "rule" if failed else "term"
    return OtherOut(
        offer_id=each.offer.id if named else None,
        distance_km=each.distance,
        rule=each.code if failed else None,
        term=None if failed else Term(each.code),
        facts=dict(each.reason.facts),
        sentence=say(f"{kind}.{each.code}", language, **_in_words(each.reason.facts, language)),
    )


def _in_words(facts: Facts, language: str) -> dict[str, str | int]:
    """Facts as a sentence says them: countries and features by their names."""
    words = dict(facts)
    if isinstance(code := words.get("missing"), str):
        words["missing"] = say(f"access.{code}", language)
    if isinstance(code := words.get("country"), str):
        words["country"] = Locale(language).territories.get(code, code)
    return words
