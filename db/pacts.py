"""The language of pacts: propose, sign, renew, end. They are read in `db.pact_facts`, and used in `db.referring`.

Whoever is no party of a pact gets the same answer as for one that never was. A pact is locked before anything about it
is decided; its days are those of the town that proposed it.
"""

from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from db.pact_facts import TODAY, Side
from db.roles import Role, acting_as
from matching.pacts import MOST_VERSIONS, PactTerms, flaws_of
from matching.refusals import Conflict, Flaw, Invalid, NotFound, StaleVersion
from matching.states import PactState

__all__ = ["MOST_EACH", "add", "check_parties", "check_terms", "end", "end_due", "lock", "renew", "sign"]

MOST_EACH = 500
"""Pacts of one organization that have not ended."""


_LOCK = text("""
    select id, proposer_id, proposer_town_id, partner_id, partner_town_id, state, notice_by, ends_at, now() as now
      from pact where id = :id and :organization in (proposer_id, partner_id) for update
""")
_LOCK_ORGANIZATION = text("select pg_advisory_xact_lock(hashtext('pacts'), hashtext(cast(:organization as text)))")
_COUNT = text("select count(*) from pact where :organization in (proposer_id, partner_id) and state <> 'ended'")
_PARTIES = text("""
    select exists (select from organization_town t join organization o on o.id = t.organization_id
                    where o.id = :proposer and t.town_id = :proposer_town
                      and o.kind in ('municipality', 'coordination')) as may_propose,
           exists (select from organization_town t join organization o on o.id = t.organization_id
                    where o.id = :partner and t.town_id = :partner_town
                      and o.kind in ('municipality', 'coordination')) as may_sign
""")
_TOWNS = text("""
    select home.country <> away.country as abroad, cast(now() at time zone home.timezone as date) as today
      from town home, town away where home.id = :proposer_town and away.id = :partner_town
""")
_UNKNOWN = text("""
    select word from unnest(cast(:categories as text[])) with ordinality as asked (word, place)
     where not exists (select from category c where c.code = word) order by place limit 1
""")
_ADD = text("""
    insert into pact (id, proposer_id, proposer_town_id, partner_id, partner_town_id)
    values (:id, :proposer, :proposer_town, :partner, :partner_town)
""")
_NEWEST = text("select coalesce(max(number), 0) from pact_version where pact_id = :pact")
_ADD_VERSION = text("""
    insert into pact_version (pact_id, number, to_partner_per_week, to_proposer_per_week, categories, crosses_border,
                              transport, acceptance, answer_within_minutes, first_day, last_day, notice_days,
                              proposed_by)
    values (:pact, :number, :to_partner_per_week, :to_proposer_per_week, cast(:categories as text[]), :crosses_border,
            :transport, :acceptance, :answer_within_minutes, :first_day, :last_day, :notice_days, :organization)
""")
_OVER = text(f"""
    select v.last_day < {TODAY} from pact_version v join pact p on p.id = v.pact_id
      join town home on home.id = p.proposer_town_id
     where v.pact_id = :pact and v.number = :number
""")
_BEFORE_NOTICE = text("""
    select coalesce(v.agreed_at is null and v.proposed_at <= p.notice_at, false)
      from pact_version v join pact p on p.id = v.pact_id where v.pact_id = :pact and v.number = :number
""")
_SIGN = text("""
    insert into pact_signature (pact_id, number, organization_id) values (:pact, :number, :organization)
    on conflict do nothing returning number
""")
_AGREE = text("""
    update pact_version set agreed_at = now()
     where pact_id = :pact and number = :number and agreed_at is null
       and (select count(*) from pact_signature s where s.pact_id = :pact and s.number = :number) = 2
    returning number
""")
_TOUCH = text("update pact set version = version + 1 where id = :pact")
# Who signs new terms after notice was given goes on with the pact.
_GO_ON = text("""
    update pact set state = 'signed', notice_by = null, notice_at = null, ends_at = null, version = version + 1
     where id = :pact
""")
_NOTICE = text("""
    update pact set notice_by = :organization, notice_at = now(), version = version + 1,
                    ends_at = now() + make_interval(days => (select notice_days from pact_version
                                                              where pact_id = :pact and agreed_at is not null
                                                              order by number desc limit 1))
     where id = :pact
""")
_END = text("""
    update pact set state = 'ended', ended_at = now(), version = version + 1 where id = :pact
    returning proposer_id, partner_id
""")
_DUE = text("""
    select id from pact where state = 'signed' and ends_at <= now()
     order by ends_at limit :limit for update skip locked
""")


async def add(tx: AsyncConnection, proposer: Side, partner: Side, terms: PactTerms) -> UUID:
    """Propose a pact: its first version, signed by who proposes it.

    Raises `Invalid` with every flaw, and `Conflict` where the organization has as many as it may.
    """
    await tx.execute(_LOCK_ORGANIZATION, {"organization": str(proposer.organization_id)})
    if (await tx.execute(_COUNT, {"organization": proposer.organization_id})).scalar_one() >= MOST_EACH:
        raise Conflict("too_many_pacts", "full")
    await check_parties(tx, proposer, partner)
    await check_terms(tx, proposer.town_id, partner.town_id, terms)
    pact_id = uuid4()
    await tx.execute(_ADD, _sides(proposer, partner) | {"id": pact_id})
    await _add_version(tx, pact_id, 1, proposer.organization_id, terms)
    both = [proposer.organization_id, partner.organization_id]
    await events.record(tx, "pact.proposed", pact_id, both, number=1)
    return pact_id


async def check_parties(tx: AsyncConnection, proposer: Side, partner: Side) -> None:
    """Whether these two may make a pact. Raises `Invalid`, and tells no more of the other than that."""
    async with acting_as(tx, Role.MATCHER):
        parties = (await tx.execute(_PARTIES, _sides(proposer, partner))).one()
    flaws = [Flaw("/town", "not_your_town")] if not parties.may_propose else []
    if not parties.may_sign or partner.organization_id == proposer.organization_id:
        flaws.append(Flaw("/partner", "unknown_partner"))
    if partner.town_id == proposer.town_id:
        flaws.append(Flaw("/partner_town", "same_town"))
    if flaws:
        raise Invalid(tuple(flaws))


async def check_terms(tx: AsyncConnection, proposer_town: int, partner_town: int, terms: PactTerms) -> None:
    """Whether these towns may agree on this. Raises `Invalid`."""
    towns = (await tx.execute(_TOWNS, {"proposer_town": proposer_town, "partner_town": partner_town})).one()
    flaws = list(flaws_of(terms, towns.today, abroad=towns.abroad))
    if (await tx.execute(_UNKNOWN, {"categories": sorted(terms.categories)})).one_or_none() is not None:
        flaws.append(Flaw("/terms/categories", "unknown_category"))
    if flaws:
        raise Invalid(tuple(flaws))


async def renew(
    tx: AsyncConnection, pact_id: UUID, organization_id: UUID, terms: PactTerms, seen: int | None = None
) -> int:
    """Propose other terms, signed by who proposes them: the number of the version. Nothing changes until both signed.

    `seen` is the newest version that was read, where that matters. Raises `NotFound`, `Invalid`, `StaleVersion` where
    other terms were proposed since, and `Conflict` where the pact has ended.
    """
    pact = await lock(tx, pact_id, organization_id)
    if pact.state == PactState.ENDED:
        raise Conflict("pact_has_ended", pact.state)
    newest = int((await tx.execute(_NEWEST, {"pact": pact_id})).scalar_one())
    if seen not in (None, newest):
        raise StaleVersion(newest)
    await check_terms(tx, pact.proposer_town_id, pact.partner_town_id, terms)
    number = newest + 1
    if number > MOST_VERSIONS:
        raise Conflict("too_many_versions", pact.state)
    await _add_version(tx, pact_id, number, organization_id, terms)
    await tx.execute(_TOUCH, {"pact": pact_id})
    await events.record(tx, "pact.proposed", pact_id, [pact.proposer_id, pact.partner_id], number=number)
    return number


async def sign(tx: AsyncConnection, pact_id: UUID, organization_id: UUID, number: int) -> None:
    """Sign a version; signing twice changes nothing. Once both have, it is agreed and notice that was given falls.

    Raises `NotFound`; `Conflict` where the pact has ended, other terms were proposed since, the days of these are over,
    or notice was given after they were proposed: who gave it did not want them any more. `Invalid` where there is no
    such version.
    """
    pact = await lock(tx, pact_id, organization_id)
    if pact.state == PactState.ENDED:
        raise Conflict("pact_has_ended", pact.state)
    newest = int((await tx.execute(_NEWEST, {"pact": pact_id})).scalar_one())
    if number > newest:
        raise Invalid.one("/number", "unknown_version")
    if number < newest:
        raise Conflict("not_the_newest_version", pact.state)
    if (await tx.execute(_OVER, {"pact": pact_id, "number": number})).scalar_one():
        raise Conflict("version_is_over", pact.state)
    if (await tx.execute(_BEFORE_NOTICE, {"pact": pact_id, "number": number})).scalar_one():
        raise Conflict("proposed_before_notice", pact.state)
    named = {"pact": pact_id, "number": number}
    if (await tx.execute(_SIGN, named | {"organization": organization_id})).one_or_none() is None:
        return
    async with acting_as(tx, Role.MATCHER):
        agreed = (await tx.execute(_AGREE, named)).one_or_none() is not None
    await tx.execute(_GO_ON if agreed else _TOUCH, {"pact": pact_id})
    await events.record(tx, "pact.signed", pact_id, [pact.proposer_id, pact.partner_id], number=number)


async def lock(tx: AsyncConnection, pact_id: UUID, organization_id: UUID) -> Row[tuple[object, ...]]:
    """Keep a pact as it is until the transaction ends, for one of its two sides. Raises `NotFound`."""
    row = (await tx.execute(_LOCK, {"id": pact_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return row


async def end(tx: AsyncConnection, pact_id: UUID, organization_id: UUID) -> None:
    """End a pact: with notice, or at once where both want it or nothing was agreed yet. Asking twice changes nothing.

    Who was referred under it before is not touched. Raises `NotFound`.
    """
    pact = await lock(tx, pact_id, organization_id)
    if pact.state == PactState.ENDED or pact.notice_by == organization_id:
        return
    both = [pact.proposer_id, pact.partner_id]
    if pact.state == PactState.PROPOSED or pact.notice_by is not None:
        await tx.execute(_END, {"pact": pact_id})
        await events.record(tx, "pact.ended", pact_id, both)
        return
    await tx.execute(_NOTICE, {"pact": pact_id, "organization": organization_id})
    await events.record(tx, "pact.notice_given", pact_id, both, organization_id=str(organization_id))


async def end_due(tx: AsyncConnection, limit: int) -> int:
    """End pacts whose notice is over, for whoever sees all rows. How many."""
    due = (await tx.execute(_DUE, {"limit": limit})).scalars().all()
    for pact_id in due:
        row = (await tx.execute(_END, {"pact": pact_id})).one()
        await events.record(tx, "pact.ended", pact_id, [row.proposer_id, row.partner_id])
    return len(due)


async def _add_version(
    tx: AsyncConnection, pact_id: UUID, number: int, organization_id: UUID, terms: PactTerms
) -> None:
    named = {"pact": pact_id, "number": number, "organization": organization_id}
    values = {name: getattr(terms, name) for name in PactTerms.__slots__}
    await tx.execute(_ADD_VERSION, values | named | {"categories": sorted(terms.categories)})
    await tx.execute(_SIGN, named)


def _sides(proposer: Side, partner: Side) -> dict[str, UUID | int]:
    return {
        "proposer": proposer.organization_id,
        "proposer_town": proposer.town_id,
        "partner": partner.organization_id,
        "partner_town": partner.town_id,
    }
