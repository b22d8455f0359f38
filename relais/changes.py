"""What would change, applied to a picture of the nights ahead: a new picture, and nothing else is touched."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from db.pictures import SiteName
from db.towns import TownFacts
from geo.borders import is_surely_abroad
from geo.cells import COARSE_RESOLUTION, RESOLUTION, Point, cell_of
from matching.imagined import Ground, imagined_offer
from matching.needs import Need, NeedId, OfferId, People
from matching.offering import OfferTerms
from matching.pictures import Guest, House, Origin, Passage, Picture, Room, Volunteers
from matching.pledging import PledgeTerms, turns_of
from matching.posting import NeedTerms, flaws_of
from matching.refusals import Flaw, Invalid
from matching.vocabulary import Acceptance, Coverage, SiteKind, Visibility
from matching.windows import MORNING, Window, nights_of
from relais.change_file import Arrivals, ChangeFile, NewOffer, NewPact, NewPledge, NewSite, WrongChange

__all__ = ["Setting", "changed"]

_EVENING: Final = time(18)
_LEAVES: Final = time(9)
_NAMES: Final = UUID("a3a1fb52-3d4a-4f2e-9a3e-5d5a6b1f7c10")
"""Of what is not there: the same ids in every run."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What changes speak of: sites by name, towns by id, and the coverage rule of each category."""

    sites: Sequence[SiteName]
    towns: Mapping[int, TownFacts]
    coverages: Mapping[str, Coverage]


def changed(picture: Picture, changes: ChangeFile, setting: Setting) -> Picture:
    """The picture with all changes. Raises `WrongChange`."""
    fresh = count(-1, -1)
    after = _without_sites(picture, {_site(name, setting) for name in changes.close})
    after = _without_pledges(after, changes.without_pledges)
    houses = [
        house
        for number, site in enumerate(changes.sites)
        for house in _houses(site, f"sites[{number}]", setting, picture.now, fresh)
    ]
    pledges = [_pledge(each, number, setting, picture.now) for number, each in enumerate(changes.pledges)]
    guests = [
        guest
        for number, each in enumerate(changes.arrivals)
        for guest in _guests(each, f"arrivals[{number}]", setting, picture.now)
    ]
    return replace(
        after,
        guests=(*after.guests, *guests),
        houses=(*after.houses, *houses),
        volunteers=(*after.volunteers, *pledges),
        passages=(
            *_passages_left(picture, changes.without_pacts),
            *(
                passage
                for number, each in enumerate(changes.pacts)
                for passage in _passages(each, f"pacts[{number}]", setting)
            ),
        ),
    )


def _passages_left(picture: Picture, without: Sequence[UUID]) -> Iterator[Passage]:
    for pact in without:
        if pact not in {passage.pact_id for passage in picture.passages}:
            raise WrongChange(f"There is no pact {pact} in force.")
    yield from (passage for passage in picture.passages if passage.pact_id not in without)


def _passages(pact: NewPact, where: str, setting: Setting) -> Iterator[Passage]:
    here, there = _town(pact.town, f"{where}.town", setting), _town(pact.partner, f"{where}.partner", setting)
    if here.id == there.id:
        raise WrongChange(f"{where}.partner: a town makes no pact with itself.")
    if here.country != there.country and not pact.crosses_border:
        raise WrongChange(f"{where}.crosses_border: a border lies between the two towns.")
    if not pact.to_partner_per_week and not pact.to_proposer_per_week:
        raise WrongChange(f"{where}.to_partner_per_week: nobody either way is no pact.")
    if unknown := set(pact.categories) - set(setting.coverages):
        raise WrongChange(f"{where}.categories: there is no help called “{min(unknown)}”.")
    for from_, to, per_week in ((here, there, pact.to_partner_per_week), (there, here, pact.to_proposer_per_week)):
        if per_week:
            yield Passage(
                pact_id=uuid5(_NAMES, where),
                from_town_id=from_.id,
                to_town_id=to.id,
                town=to.name,
                cell=to.cell,
                country=to.country,
                inhabitants=to.population,
                abroad=from_.country != to.country,
                categories=frozenset(pact.categories),
                crosses_border=pact.crosses_border,
                acceptance=Acceptance.STANDING,
                per_week=per_week,
                used={},
            )


def _site(name: str, setting: Setting) -> UUID:
    found = [site for site in setting.sites if str(site.id) == name.lower()]
    found = found or [site for site in setting.sites if site.name.casefold() == name.casefold()]
    if len(found) == 1:
        return found[0].id
    if found:
        which = "\n".join(f"  {site.id}  {site.name}, town {site.town_id}" for site in found)
        raise WrongChange(f"{len(found)} sites are called “{name}”. Say which one by its id:\n{which}")
    near = [site for site in setting.sites if name.casefold() in site.name.casefold()][:5]
    told = "".join(f"\n  {site.id}  {site.name}" for site in near)
    raise WrongChange(f"No site is called “{name}”." + (f" These come near:{told}" if near else ""))


def _without_sites(picture: Picture, sites: set[UUID]) -> Picture:
    gone = {house.offer.id for house in picture.houses if house.site_id in sites}
    slots = {slot for house in picture.houses if house.site_id in sites for slot in house.rooms}
    return replace(
        picture,
        guests=tuple(_without_offers(guest, gone) for guest in picture.guests),
        in_projects=tuple(_without_offers(guest, gone) for guest in picture.in_projects),
        houses=tuple(house for house in picture.houses if house.site_id not in sites),
        shifts=tuple(shift for shift in picture.shifts if not (shift.live and shift.slot in slots)),
    )


def _without_offers(guest: Guest, gone: Collection[OfferId]) -> Guest:
    kept = tuple(stay for stay in guest.stays if stay.offer_id not in gone)
    lost = sum(stay.people for stay in guest.stays) - sum(stay.people for stay in kept)
    return replace(guest, stays=kept, left=guest.left + lost)


def _without_pledges(picture: Picture, pledges: Sequence[UUID]) -> Picture:
    known = {pledge.pledge_id for pledge in picture.volunteers}
    for pledge in pledges:
        if pledge not in known:
            raise WrongChange(f"There is no open pledge {pledge} for the nights ahead.")
    return replace(
        picture,
        volunteers=tuple(each for each in picture.volunteers if each.pledge_id not in pledges),
        shifts=tuple(shift for shift in picture.shifts if shift.pledge_id not in pledges),
    )


def _houses(site: NewSite, where: str, setting: Setting, now: datetime, fresh: Iterator[int]) -> Iterator[House]:
    town = _town(site.town, f"{where}.town", setting)
    point = Point(*site.location.coordinates) if site.location else town.point
    if is_surely_abroad(point, town.point, town.country):
        raise WrongChange(f"{where}.location: it lies in another country than its town.")
    guarded = site.kind is SiteKind.PRIVATE_HOME or site.visibility is Visibility.RENDEZVOUS
    cell = cell_of(point, COARSE_RESOLUTION if guarded else RESOLUTION)
    for number, each in enumerate(site.offers):
        at = f"{where}.offers[{number}]"
        terms = _offer_terms(each, town)
        coverage = setting.coverages.get(each.category)
        if coverage is not Coverage.EVERY:
            raise WrongChange(f"{at}.category: only help by the night is looked at; “{each.category}” is not.")
        ground = Ground(town.id, cell, town.country, town.timezone, site.kind, frozenset(site.provides))
        try:
            offer = imagined_offer(uuid5(_NAMES, at), _NAMES, terms, coverage, ground, now, fresh)
        except Invalid as invalid:
            raise _wrong(at, invalid.flaws) from None
        staffing = site.staffing
        yield House(
            offer=offer,
            site_id=uuid5(_NAMES, where),
            skill=staffing.skill if staffing else None,
            each=staffing.people_per_volunteer if staffing else 1,
            minimum=staffing.minimum if staffing else 0,
            rooms={slot.id: Room(slot.id, slot.window, each.capacity, 0) for slot in offer.slots},
        )


def _offer_terms(offer: NewOffer, town: TownFacts) -> OfferTerms:
    return OfferTerms(
        category=offer.category,
        capacity=offer.capacity,
        audience=frozenset(offer.audience),
        provides=frozenset(offer.provides),
        confirmation=offer.confirmation,
        confirm_within_minutes=offer.confirm_within_minutes,
        first_day=offer.first_day,
        last_day=offer.last_day,
        timezone=offer.timezone or town.timezone,
        opens=offer.opens,
        closes=offer.closes,
        rrule=offer.rrule,
        slot_minutes=None,
        party_max=offer.party_max,
        nights_max=offer.nights_max,
        arrive_by=offer.arrive_by,
        release_no_shows=offer.release_no_shows,
        language=None,
    )


def _pledge(pledge: NewPledge, number: int, setting: Setting, now: datetime) -> Volunteers:
    where = f"pledges[{number}]"
    town = _town(pledge.town, f"{where}.town", setting)
    terms = PledgeTerms(
        town_id=pledge.town,
        skill=pledge.skill,
        headcount=pledge.headcount,
        radius_km=pledge.radius_km,
        first_day=pledge.first_day,
        last_day=pledge.last_day,
        timezone=pledge.timezone or town.timezone,
        opens=pledge.from_,
        closes=pledge.until,
        rrule=pledge.rrule,
        shifts_per_week_max=pledge.shifts_per_week_max,
    )
    try:
        turns = turns_of(terms, now)
    except Invalid as invalid:
        raise _wrong(where, invalid.flaws) from None
    return Volunteers(
        pledge_id=uuid5(_NAMES, where),
        organization_id=_NAMES,
        skill=pledge.skill,
        headcount=pledge.headcount,
        weekly=pledge.shifts_per_week_max,
        cell=town.cell,
        radius_km=pledge.radius_km,
        turns=turns,
    )


def _guests(arrivals: Arrivals, where: str, setting: Setting, now: datetime) -> Iterator[Guest]:
    town = _town(arrivals.town, f"{where}.town", setting)
    zone = ZoneInfo(town.timezone)
    window = _stay(now, zone, arrivals)
    sizes = [arrivals.parties_of] * (arrivals.people // arrivals.parties_of)
    rest = arrivals.people % arrivals.parties_of
    for number, size in enumerate([*sizes, rest] if rest else sizes):
        terms = NeedTerms(
            category="shelter",
            town_id=town.id,
            people=People(size, 0) if "unaccompanied_minors" not in arrivals.audience else People(0, size),
            starts=window.starts,
            ends=window.ends,
            urgency=arrivals.urgency,
            stay=arrivals.stay,
            audience=frozenset(arrivals.audience),
            requires=frozenset(arrivals.requires),
            countries=frozenset(arrivals.countries or (town.country,)),
            max_km=arrivals.max_km,
            divisible=False,
            language=None,
        )
        flaws = tuple(flaws_of(terms, Coverage.EVERY, zone, now))
        if flaws:
            raise _wrong(where, flaws)
        need = Need(
            id=NeedId(uuid5(_NAMES, f"{where}.{number}")),
            category=terms.category,
            coverage=Coverage.EVERY,
            cell=town.cell,
            people=terms.people,
            window=window,
            days=nights_of(Window(max(window.starts, now), window.ends), zone),
            urgency=terms.urgency,
            stay=terms.stay,
            audience=terms.audience,
            requires=terms.requires,
            countries=terms.countries,
            max_km=terms.max_km,
            divisible=False,
            language=None,
        )
        origin = Origin(town.id, town.cell, terms.max_km, town.id)
        yield Guest(need, 0.0, size, origin=origin, comes=window.starts if arrivals.after_nights else None)


def _stay(now: datetime, zone: ZoneInfo, arrivals: Arrivals) -> Window:
    """From the evening, or from now on where the night has begun, to the morning of the last night."""
    local = now.astimezone(zone)
    evening = local.date() - timedelta(days=int(local.time() < MORNING)) + timedelta(days=arrivals.after_nights)
    starts = max(now, datetime.combine(evening, _EVENING, zone).astimezone(UTC))
    return Window(starts, datetime.combine(evening + timedelta(days=arrivals.nights), _LEAVES, zone).astimezone(UTC))


def _town(town_id: int, where: str, setting: Setting) -> TownFacts:
    town = setting.towns.get(town_id)
    if town is None:
        raise WrongChange(f"{where}: no town {town_id} is loaded. `relais import` loads the towns of a country.")
    return town


def _wrong(where: str, flaws: Sequence[Flaw]) -> WrongChange:
    told = ", ".join(f"{where}{flaw.at.replace('/', '.')} ({flaw.code.replace('_', ' ')})" for flaw in flaws)
    return WrongChange(f"This cannot be: {told}.")
