"""Pacts: what two towns agree on, so that people whom one cannot place are placed by the other.

Both parties see everything about their pact, and nobody else learns that it exists.
"""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import ReadsPacts, WritesPacts
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import CategoryCode, Instant, TownId, Wire
from db import pact_facts, pact_weeks, pacts
from db.pact_facts import PactFacts, Side, VersionFacts
from db.pact_weeks import WeekFacts
from matching.bounds import ANSWER_MINUTES, NOTICE_DAYS, PEOPLE_PER_WEEK
from matching.pacts import MOST_VERSIONS, PactTerms
from matching.states import PactState
from matching.vocabulary import Acceptance, Transport

__all__ = ["PactIn", "PactTermsWire", "router"]

router = APIRouter(prefix="/v1/pacts", tags=["pacts"], route_class=TransactionalRoute)
PerWeek = Annotated[
    int,
    Field(
        ge=PEOPLE_PER_WEEK.least,
        le=PEOPLE_PER_WEEK.most,
        description="People a week, Monday to Sunday; 0 for none that way.",
    ),
]
Number = Annotated[int, Field(ge=1, le=MOST_VERSIONS)]
Count = Annotated[int, Field(ge=0)]


class PactTermsWire(Wire):
    """What both towns sign. People count in the week in which their need begins."""

    to_partner_per_week: PerWeek
    to_proposer_per_week: PerWeek = 0
    categories: Annotated[list[CategoryCode], Field(min_length=1, max_length=20)]
    crosses_border: Annotated[
        bool, Field(description="Whether people may be sent over a border; each need must allow it as well.")
    ] = False
    transport: Annotated[Transport, Field(description="Who sees to the way: a town, or the people themselves.")]
    acceptance: Acceptance = Acceptance.EACH
    answer_within_minutes: Annotated[int, Field(ge=ANSWER_MINUTES.least, le=ANSWER_MINUTES.most)] = 60
    first_day: date
    last_day: date
    notice_days: Annotated[
        int,
        Field(ge=NOTICE_DAYS.least, le=NOTICE_DAYS.most, description="Between notice and the end of the pact."),
    ] = 30

    def terms(self) -> PactTerms:
        """The terms as the domain knows them."""
        return PactTerms(
            to_partner_per_week=self.to_partner_per_week,
            to_proposer_per_week=self.to_proposer_per_week,
            categories=frozenset(self.categories),
            crosses_border=self.crosses_border,
            transport=self.transport,
            acceptance=self.acceptance,
            answer_within_minutes=self.answer_within_minutes,
            first_day=self.first_day,
            last_day=self.last_day,
            notice_days=self.notice_days,
        )

    @classmethod
    def of(cls, terms: PactTerms) -> "PactTermsWire":
        """Render terms."""
        return cls(
            to_partner_per_week=terms.to_partner_per_week,
            to_proposer_per_week=terms.to_proposer_per_week,
            categories=sorted(terms.categories),
            crosses_border=terms.crosses_border,
            transport=terms.transport,
            acceptance=terms.acceptance,
            answer_within_minutes=terms.answer_within_minutes,
            first_day=terms.first_day,
            last_day=terms.last_day,
            notice_days=terms.notice_days,
        )


class PactIn(Wire):
    """A pact as one town proposes it: `partner` is the id of the organization that is to sign for the other town."""

    town: TownId
    partner: UUID
    partner_town: TownId
    terms: PactTermsWire


class VersionIn(Wire):
    """Other terms for a pact."""

    terms: PactTermsWire


class SignIn(Wire):
    """Which version is signed: the newest that was proposed."""

    number: Number


class SideOut(Wire):
    """A party: the organization that signs, and the town for which it does."""

    organization_id: UUID
    town: TownId


class SignatureOut(Wire):
    """That a party signed."""

    organization_id: UUID
    signed_at: Instant


class VersionOut(Wire):
    """Terms that were proposed; agreed since both have signed them."""

    number: Number
    terms: PactTermsWire
    proposed_by: UUID
    proposed_at: Instant
    signatures: Annotated[list[SignatureOut], Field(max_length=2)]
    agreed_at: Instant | None

    @classmethod
    def of(cls, facts: VersionFacts) -> "VersionOut":
        """Render one version."""
        return cls(
            number=facts.number,
            terms=PactTermsWire.of(facts.terms),
            proposed_by=facts.proposed_by,
            proposed_at=facts.proposed_at,
            signatures=[
                SignatureOut(organization_id=each.organization_id, signed_at=each.signed_at)
                for each in facts.signatures
            ],
            agreed_at=facts.agreed_at,
        )


class NoticeOut(Wire):
    """Notice that was given."""

    organization_id: UUID
    given_at: Instant
    ends_at: Instant


class WeekOut(Wire):
    """A week towards one of the towns: `people` count against the limit; referrals are counted by where they stand."""

    to_town: TownId
    week: Annotated[date, Field(description="Its Monday.")]
    people: Count
    people_placed: Count
    referred: Count
    accepted: Count
    placed: Count
    declined: Count
    expired: Count
    returned: Count
    withdrawn: Count

    @classmethod
    def of(cls, facts: WeekFacts) -> "WeekOut":
        """Render one week."""
        return cls(
            to_town=facts.to_town_id,
            week=facts.monday,
            people=facts.people,
            people_placed=facts.people_placed,
            referred=facts.referred,
            accepted=facts.accepted,
            placed=facts.placed,
            declined=facts.declined,
            expired=facts.expired,
            returned=facts.returned,
            withdrawn=facts.withdrawn,
        )


class PactOut(Wire):
    """A pact as its two parties see it: `in_force` is the number of the version that holds today."""

    id: UUID
    proposer: SideOut
    partner: SideOut
    state: PactState
    in_force: Number | None
    notice: NoticeOut | None
    ended_at: Instant | None
    versions: Annotated[list[VersionOut], Field(max_length=MOST_VERSIONS)]
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: PactFacts) -> "PactOut":
        """Render one pact."""
        return cls(**_shown(facts))


class WholePactOut(PactOut):
    """The same, with what both towns did for each other in the weeks that are shown, newest first."""

    weeks: Annotated[list[WeekOut], Field(max_length=200)]


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def propose_pact(body: PactIn, who: WritesPacts, tx: Tx, reply: Reply) -> WholePactOut:
    """Propose a pact to the organization that signs for another town; proposing signs."""
    proposer, partner = Side(who.organization_id, body.town), Side(body.partner, body.partner_town)
    pact_id = await pacts.add(tx, proposer, partner, body.terms.terms())
    made = await _pact(tx, who.organization_id, pact_id, reply)
    reply.created(f"/v1/pacts/{pact_id}", made.version)
    return made


@router.get("", responses=problems(401, 403, 422))
async def list_pacts(who: ReadsPacts, tx: Tx, after: After, limit: Limit = 50) -> Listed[PactOut]:
    """The pacts of which the caller is a party, oldest first."""
    return listed(await pact_facts.page(tx, who.organization_id, after, limit), PactOut.of)


@router.get("/{pact_id}", responses=problems(401, 403, 404, 422))
async def read_pact(pact_id: UUID, who: ReadsPacts, tx: Tx, reply: Reply) -> WholePactOut:
    """One pact, with its last weeks in both directions."""
    return await _pact(tx, who.organization_id, pact_id, reply)


@router.post("/{pact_id}/versions", status_code=201, responses=problems(401, 403, 404, 409, 422))
async def propose_version(pact_id: UUID, body: VersionIn, who: WritesPacts, tx: Tx, reply: Reply) -> WholePactOut:
    """Propose other terms, or the same for longer; those that are in force stay so until both have signed the new."""
    await pacts.renew(tx, pact_id, who.organization_id, body.terms.terms())
    return await _pact(tx, who.organization_id, pact_id, reply)


@router.post("/{pact_id}/sign", responses=problems(401, 403, 404, 409, 422))
async def sign_version(pact_id: UUID, body: SignIn, who: WritesPacts, tx: Tx, reply: Reply) -> WholePactOut:
    """Sign the newest version: once both have, it replaces the one before from its first day on."""
    await pacts.sign(tx, pact_id, who.organization_id, body.number)
    reply.ring()
    return await _pact(tx, who.organization_id, pact_id, reply)


@router.post("/{pact_id}/end", responses=problems(401, 403, 404, 409, 422))
async def end_pact(pact_id: UUID, who: WritesPacts, tx: Tx, reply: Reply) -> WholePactOut:
    """Give notice; the pact ends at once where the other party gave it too, or nothing was agreed yet."""
    await pacts.end(tx, pact_id, who.organization_id)
    return await _pact(tx, who.organization_id, pact_id, reply)


async def _pact(tx: Tx, organization_id: UUID, pact_id: UUID, reply: Reply) -> WholePactOut:
    facts = await pact_facts.read(tx, pact_id, organization_id)
    reply.version(facts.version)
    weeks = [WeekOut.of(each) for each in await pact_weeks.last_weeks(tx, pact_id)]
    return WholePactOut(**_shown(facts), weeks=weeks)


def _shown(facts: PactFacts) -> dict[str, object]:
    notice = facts.notice
    return {
        "id": facts.id,
        "proposer": SideOut(organization_id=facts.proposer.organization_id, town=facts.proposer.town_id),
        "partner": SideOut(organization_id=facts.partner.organization_id, town=facts.partner.town_id),
        "state": facts.state,
        "in_force": facts.in_force,
        "notice": NoticeOut(organization_id=notice.organization_id, given_at=notice.given_at, ends_at=notice.ends_at)
        if notice
        else None,
        "ended_at": facts.ended_at,
        "versions": [VersionOut.of(each) for each in facts.versions],
        "created_at": facts.created_at,
        "version": facts.version,
    }
