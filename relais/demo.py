"""The demonstration: the house is opened, a network moves in, and an evening is played for whoever watches.

What moves in is kept under `.relais/`: a second start finds its organizations, sites and offers, and adds only what
is missing.
"""

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from pydantic import BaseModel, TypeAdapter
from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import keys, organizations, towns
from db.connection import connect, transaction
from matching.states import PactState
from matching.vocabulary import OrganizationKind
from relais.account import Account
from relais.desk import Body, Desk, DeskProblem
from relais.gazetteer import DEFAULT_COUNTRIES
from relais.parties import Parties
from relais.region import (
    COUNTRIES,
    ORGANIZATIONS,
    PACTS,
    SITES,
    TOWNS,
    DemoOffer,
    DemoOrganization,
    DemoPact,
    DemoSite,
)
from relais.running import ROOT
from relais.story import Ended, Evening, Pace, Place
from relais.up import House, in_words, open_house, write_private

__all__ = ["FAST", "TOLD", "Manner", "demo", "play"]

_DAYS_AHEAD: Final = timedelta(days=7)
"""How far ahead an offer must reach, or the days after it are offered too."""
_PACT_LASTS: Final = timedelta(days=3 * 365)


@dataclass(frozen=True)
class Manner:
    """How the demonstration is given: with which countries' towns, how slowly, and whether it serves afterwards."""

    countries: Collection[str]
    pace: Pace
    serves: bool


TOLD: Final = Manner(DEFAULT_COUNTRIES, Pace(beat=1.2, patience=20.0), serves=True)
"""For people."""
FAST: Final = Manner(COUNTRIES, Pace(beat=0.0, patience=2.0), serves=False)
"""For programs: no pauses, and an end."""


class Member(BaseModel):
    """An organization of the network as `demo.json` has it."""

    id: UUID
    kind: OrganizationKind
    name: str
    towns: list[int]
    key: str


_OTHERS: Final = text("select exists (select from offer where organization_id <> all(cast(:members as uuid[])))")
_MEMBERS: Final = TypeAdapter(list[Member])


def demo(
    *, fast: Annotated[bool, typer.Option("--fast", help="Play without pauses, with few towns, and end.")] = False
) -> None:
    """Play an evening at three crossings, over real servers, API and worker; then serve until stopped."""
    account = Account(Console())
    with in_words(account):
        raise SystemExit(play(ROOT, account, FAST if fast else TOLD))


def play(root: Path, account: Account, manner: Manner) -> int:
    """The demonstration under `root`. The exit status: 0 when every need was answered as it should be.

    Raises `StackProblem` when something cannot start, does not answer or has ended.
    """
    with open_house(root, account, manner.countries) as house, ExitStack() as undo:
        members = asyncio.run(_move_in(house))
        _write_members(house, members)
        desks = {}
        for member in members:
            desk = Desk(house.processes.url, member.key, member.name)
            undo.callback(desk.close)
            desks[member.name] = desk
        if asyncio.run(_others_offer(house, members)):
            account.title("Others have places here by now: the evening is not played again among theirs.")
            if manner.serves:
                _introduce(account, house, members)
                house.supervision.watch()
            return 0
        try:
            with account.waiting("Town halls and associations declare their sites and offers…"):
                places = _declare(desks)
                _agree(desks, {member.name: member.id for member in members})
            parties = Parties(house.root / "demo.parties")
            if left := parties.leave(desks):
                account.title(f"Parties of the evening that was played before give their places back: {left}.")
            account.title("An evening at three crossings (times of Paris)")
            ended = Evening(desks, places, account, manner.pace, parties.note).play()
        except DeskProblem:
            house.processes.check()
            raise
        _sum_up(account, ended)
        if manner.serves:
            _introduce(account, house, members)
            house.supervision.watch()
    return _verdict(account, ended)


async def _others_offer(house: House, members: list[Member]) -> bool:
    """Whether somebody outside the demonstration has an offer: its people are not to be played with."""
    engine = connect(house.settings, "demo")
    try:
        async with transaction(engine) as tx:
            found = await tx.execute(_OTHERS, {"members": [member.id for member in members]})
            return bool(found.scalar_one())
    finally:
        await engine.dispose()


async def _move_in(house: House) -> list[Member]:
    """The network's organizations, each with a key that works; made where they are missing."""
    known = {member.id: member for member in _read_members(house)}
    engine = connect(house.settings, "demo")
    try:
        async with transaction(engine) as tx:
            for town in TOWNS:
                await towns.set_roles(tx, town.id, town.roles)
            present = {each.name: each.id for each in await organizations.every(tx)}
            return [await _member(tx, house, each, present.get(each.name), known) for each in ORGANIZATIONS]
    finally:
        await engine.dispose()


async def _member(
    tx: AsyncConnection,
    house: House,
    organization: DemoOrganization,
    organization_id: UUID | None,
    known: Mapping[UUID, Member],
) -> Member:
    hashing = house.settings.keys().of("api-key")
    ids = [town.id for town in organization.towns]
    if organization_id is None:
        organization_id = await organizations.add(tx, organization.kind, organization.name, ids)
    before = known.get(organization_id)
    holder = None if before is None else await keys.holder(tx, before.key, hashing)
    if before is not None and holder is not None and holder.scopes == keys.SCOPES[organization.kind]:
        return before
    live = [key for key in await keys.of_organization(tx, organization_id) if key.live]
    # Secrets are not stored, so a key that was lost with its file can only be replaced; so is one from before there
    # were rights that the evening needs.
    for key in live[: len(live) - keys.MOST_LIVE + 1]:
        await keys.revoke(tx, key.prefix)
    issued = await keys.issue(tx, organization_id, hashing)
    return Member(id=organization_id, kind=organization.kind, name=organization.name, towns=ids, key=issued.text)


def _read_members(house: House) -> list[Member]:
    try:
        return _MEMBERS.validate_python(json.loads(_file(house).read_text())["organizations"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def _write_members(house: House, members: list[Member]) -> None:
    facts = {"url": house.processes.url, "organizations": _MEMBERS.dump_python(members, mode="json")}
    write_private(_file(house), json.dumps(facts, ensure_ascii=False, indent=2).encode())


def _file(house: House) -> Path:
    return house.root / "demo.json"


def _declare(desks: Mapping[str, Desk]) -> dict[UUID, Place]:
    """Sites and offers over HTTP, each by its owner; those that are there already stay. Where each offer is."""
    places: dict[UUID, Place] = {}
    for owner in dict.fromkeys(site.owner for site in SITES):
        desk = desks[owner]
        sites, offers = {site.name: site.id for site in desk.sites()}, desk.offers()
        for site in SITES:
            if site.owner != owner:
                continue
            site_id = sites.get(site.name) or desk.post_site(_site(site)).id
            place = Place(site.name, site.town.name, owner)
            mine = [offer for offer in offers if offer.site_id == site_id]
            places.update((offer.id, place) for offer in mine)
            for offer in site.offers:
                first = _first_day(site, (each.last_day for each in mine if each.category == offer.category))
                if first is not None:
                    places[desk.post_offer(_offer(offer, site, site_id, first)).id] = place
    return places


def _agree(desks: Mapping[str, Desk], ids: Mapping[str, UUID]) -> None:
    """Pacts over HTTP, proposed by one town hall and signed by the other; those that are there already stay."""
    for pact in PACTS:
        mine = [each for each in desks[pact.proposer].pacts() if each.state is not PactState.ENDED]
        if any(each.partner.town == pact.partner_town.id for each in mine):
            continue
        proposed = desks[pact.proposer].propose_pact(_pact(pact, ids[pact.partner]))
        desks[pact.partner].sign_pact(proposed.id, 1)


def _first_day(site: DemoSite, last_days: Iterable[date]) -> date | None:
    """From when on an offer is still to be made: after those that are there, and not before the night in course."""
    today = datetime.now(ZoneInfo(site.timezone)).date()
    # After midnight people still look for a bed in the night that began yesterday.
    begun = today - timedelta(days=1)
    last = max(last_days, default=None)
    if last is None:
        return begun
    return None if last >= today + _DAYS_AHEAD else max(begun, last + timedelta(days=1))


def _site(site: DemoSite) -> Body:
    return {
        "name": site.name,
        "town": site.town.id,
        "kind": site.kind,
        "location": {"type": "Point", "coordinates": list(site.point)},
        "visibility": site.visibility,
        "provides": list(site.provides),
        "staffing": site.staffing,
    }


def _offer(offer: DemoOffer, site: DemoSite, site_id: UUID, first: date) -> Body:
    return {
        "site_id": str(site_id),
        "category": offer.category,
        "capacity": offer.capacity,
        "audience": list(offer.audience),
        "provides": list(offer.provides),
        "confirmation": offer.confirmation,
        "confirm_within_minutes": 60,
        "first_day": first.isoformat(),
        "last_day": (first + timedelta(days=offer.days - 1)).isoformat(),
        "timezone": site.timezone,
        "opens": offer.opens,
        "closes": offer.closes,
        "rrule": offer.rrule,
        "slot_minutes": offer.slot_minutes,
        "party_max": offer.party_max,
        "nights_max": offer.nights_max,
        "language": offer.language,
    }


def _pact(pact: DemoPact, partner: UUID) -> Body:
    # Also for a night that began yesterday.
    first = datetime.now(ZoneInfo("Europe/Paris")).date() - timedelta(days=1)
    return {
        "town": pact.town.id,
        "partner": str(partner),
        "partner_town": pact.partner_town.id,
        "terms": {
            "to_partner_per_week": pact.people_per_week,
            "categories": ["shelter"],
            "transport": "people",
            "first_day": first.isoformat(),
            "last_day": (first + _PACT_LASTS).isoformat(),
        },
    }


def _sum_up(account: Account, ended: list[Ended]) -> None:
    account.title("How the evening ended")
    account.table(["who", "in", "answer", "where"], [[each.party, each.town, each.state, each.place] for each in ended])


def _verdict(account: Account, ended: list[Ended]) -> int:
    astray = [each for each in ended if each.state is not each.meant]
    for each in astray:
        account.say(f"Not as it should be: {each.party} in {each.town} is {each.state}, not {each.meant}.")
    return 1 if astray else 0


def _introduce(account: Account, house: House, members: list[Member]) -> None:
    """Where it serves, with which keys, and what to try: lines that can be copied."""
    url = house.processes.url
    account.title(f"Relais serves at {url} until you press Ctrl-C.")
    account.say(f"Keys (also in {_file(house)}, readable to you alone):")
    account.table(["kind", "name", "key"], [[each.kind, each.name, each.key] for each in members])
    coordination, hall = members[0], members[1]
    tonight = datetime.now(ZoneInfo("Europe/Paris")).replace(hour=20, minute=0, second=0, microsecond=0)
    morning = (tonight + timedelta(days=1)).replace(hour=9)
    need = {
        "category": "shelter",
        "town": TOWNS[0].id,
        "people": {"adults": 2, "minors": 1},
        "from": tonight.isoformat(),
        "until": morning.isoformat(),
        "urgency": "vital",
    }
    account.title("Try it, in another terminal")
    account.command(f"RELAIS={url}")
    account.command(f"COORDINATION={coordination.key}")
    account.command(f"TOWN_HALL={hall.key}")
    account.command("# post a need in Briançon; the answer shows where it is held")
    account.command("curl -s $RELAIS/v1/needs -H \"Authorization: Bearer $COORDINATION\" -H 'Prefer: wait=5' \\")
    account.command(f"  -H 'Content-Type: application/json' -d '{json.dumps(need)}'")
    account.command("# the town hall sees what waits for its answer…")
    account.say('  curl -s "$RELAIS/v1/allocations?state=held" -H "Authorization: Bearer $TOWN_HALL"')
    account.command("# …and says yes (put the allocation's id)")
    account.say('  curl -s -X POST $RELAIS/v1/allocations/ID/confirm -H "Authorization: Bearer $TOWN_HALL"')
