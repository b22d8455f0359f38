"""Listings in the words of HSDS: the same ids each time, the reader's language, and a cell's middle for a place."""

from collections.abc import Iterable
from datetime import time, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from babel import Locale

from api.hsds import (
    Accessibility,
    Attribute,
    Capacity,
    CostOption,
    FullService,
    Language,
    Location,
    OrganizationEntry,
    Schedule,
    ServiceAtLocation,
    ServiceAtLocationEntry,
    ServiceEntry,
    Status,
    Taxonomy,
    TaxonomyTerm,
    Unit,
)
from api.hsds_schedules import Recurrence, pieces_of, recurrence_of
from api.wording import knows, say
from db.directory import Giver, Listing
from geo.cells import cell_text, centroid
from matching.states import OfferState
from matching.vocabulary import Audience

__all__ = ["full_service", "organization", "service", "service_at_location", "service_at_location_id"]

_OURS: Final = UUID("0f6c1c52-4a0e-4a5f-9f0c-52f0a5b0e7d1")
"""Ids that no table has are hashes of what they are of, in this space: the same each time."""
_ACCESSIBLE: Final = ("step_free", "ground_floor", "lift")
_INTERPRETER: Final = "interpreter:"
_CATEGORIES, _AUDIENCES, _PROVISIONS = "category", "audience", "provision"


def organization(giver: Giver, language: str) -> OrganizationEntry:
    """Who gives something."""
    parts = [f"directory.giver.{giver.kind}", *(["directory.giver.self_organized"] if giver.self_organized else [])]
    return OrganizationEntry(id=giver.id, name=giver.name, description=" ".join(say(part, language) for part in parts))


def service(listing: Listing, language: str) -> ServiceEntry:
    """An offer as a service, without what there can be several of."""
    offer, giver = listing.offer, listing.giver
    spoken = [_named(code, language) for code in _interpreted(listing)]
    return ServiceEntry(
        id=offer.id,
        organization_id=giver.id if giver else None,
        name=_title(listing, language),
        description=say("directory.service", language, help=_help(listing, language), town=listing.town),
        status=_status(listing),
        interpretation_services=say("directory.interpreters", language, languages=", ".join(spoken))
        if spoken
        else None,
        application_process=say("directory.apply", language),
        fees_description=say("directory.free", language),
        eligibility_description=_eligibility(offer.terms.audience, language),
        assured_date=offer.verified_at.date(),
        organization=organization(giver, language) if giver else None,
    )


def full_service(listing: Listing, language: str) -> FullService:
    """An offer as a service with all that belongs to it."""
    offer = listing.offer
    at = ServiceAtLocation(
        id=service_at_location_id(offer.id),
        service_id=offer.id,
        location_id=_location_id(listing),
        description=_title(listing, language),
        location=_location(listing, language),
    )
    return FullService(
        **dict(service(listing, language)),
        schedules=_schedules(listing, language),
        service_at_locations=[at],
        languages=list(_languages(listing, language)),
        cost_options=[
            CostOption(
                id=_id("cost", offer.id),
                service_id=offer.id,
                option=say("directory.free", language),
                amount=0,
                amount_description=say("directory.free", language),
            )
        ],
        attributes=list(_attributes(listing, language)),
        capacities=_capacities(listing, language),
    )


def service_at_location(listing: Listing, language: str) -> ServiceAtLocationEntry:
    """An offer at its place, with both."""
    return ServiceAtLocationEntry(
        id=service_at_location_id(listing.offer.id),
        service_id=listing.offer.id,
        location_id=_location_id(listing),
        description=_title(listing, language),
        location=_location(listing, language),
        service=service(listing, language),
    )


def service_at_location_id(offer_id: UUID) -> UUID:
    """The id of an offer at its place: it has one place for good."""
    return _id("service at location", offer_id)


def _id(what: str, whose: UUID | str) -> UUID:
    return uuid5(_OURS, f"{what} {whose}")


def _location_id(listing: Listing) -> UUID:
    """The site's, where the reader may know whose it is; else one of the offer alone, as if at no other's place."""
    return listing.offer.site_id if listing.giver else _id("location", listing.offer.id)


def _help(listing: Listing, language: str) -> str:
    word = f"slip.category.{listing.offer.terms.category}"
    return say(word, language) if knows(word) else listing.offer.terms.category


def _title(listing: Listing, language: str) -> str:
    return f"{_help(listing, language)} · {listing.town}"


def _status(listing: Listing) -> Status:
    if listing.offer.state is not OfferState.OPEN:
        return "temporarily closed"
    return "inactive" if listing.stale else "active"


def _eligibility(audience: frozenset[Audience], language: str) -> str:
    if Audience.ANYONE in audience:
        return say("directory.for.anyone", language)
    whom = ", ".join(say(f"directory.for.{each}", language) for each in sorted(audience))
    return say("directory.reserved", language, whom=whom)


def _provided(listing: Listing) -> list[str]:
    return sorted(listing.offer.terms.provides | listing.site_provides)


def _interpreted(listing: Listing) -> list[str]:
    return [each.removeprefix(_INTERPRETER) for each in _provided(listing) if each.startswith(_INTERPRETER)]


def _named(code: str, language: str) -> str:
    return str(Locale.parse(language).languages.get(code, code))


def _languages(listing: Listing, language: str) -> Iterable[Language]:
    offer, taught = listing.offer, listing.offer.terms.language
    spoken = [(code, say("directory.interpreted", language)) for code in _interpreted(listing)]
    if taught:
        spoken.insert(0, (taught.teaches, say("directory.taught", language, level=taught.level or "—")))
    for code, note in spoken:
        yield Language(
            id=_id(f"language {code} {'taught' if taught and code == taught.teaches else 'spoken'}", offer.id),
            service_id=offer.id,
            code=code,
            name=_named(code, language),
            note=note,
        )


def _location(listing: Listing, language: str) -> Location:
    offer, location_id = listing.offer, _location_id(listing)
    middle = centroid(offer.cell)
    return Location(
        id=location_id,
        location_type="physical",
        organization_id=listing.giver.id if listing.giver else None,
        name=listing.town,
        description=say("directory.around", language, town=listing.town),
        latitude=middle.latitude,
        longitude=middle.longitude,
        external_identifier=cell_text(offer.cell),
        external_identifier_type="H3",
        accessibility=[
            Accessibility(
                # Bound to the offer: what one offer provides is not told of another at the same place.
                id=_id(f"accessibility {each}", offer.id),
                location_id=location_id,
                description=say(f"access.{each}", language),
            )
            for each in _ACCESSIBLE
            if each in _provided(listing)
        ],
    )


def _schedules(listing: Listing, language: str) -> list[Schedule]:
    offer = listing.offer
    schedule = offer.terms.schedule()
    rule = recurrence_of(schedule)
    words = rule or Recurrence("WEEKLY")
    made = []
    zone, opens, closes = schedule.zone, schedule.opens, schedule.closes
    for number, piece in enumerate(pieces_of(zone, schedule.first_day, schedule.last_day, opens, closes)):
        made.append(
            Schedule(
                id=_id(f"schedule {number}", offer.id),
                service_id=offer.id,
                valid_from=piece.first,
                valid_to=piece.last,
                dtstart=schedule.first_day,
                timezone=piece.opens / timedelta(hours=1),
                until=schedule.last_day if rule and rule.count is None else None,
                count=words.count,
                wkst=words.wkst,
                freq=words.freq if rule else None,
                interval=words.interval,
                byday=words.byday,
                bymonthday=words.bymonthday,
                description=f"{opens:%H:%M}–{closes:%H:%M}, {offer.terms.timezone}",
                opens_at=_clock(opens, piece.opens),
                closes_at=_clock(closes, piece.closes),
                attending_type=say("directory.in_person", language),
                notes=None if rule else f"RRULE:{schedule.rrule}",
            )
        )
    return made


def _clock(clock: time, offset: timedelta) -> str:
    minutes = round(offset / timedelta(minutes=1))
    return f"{clock:%H:%M}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _attributes(listing: Listing, language: str) -> Iterable[Attribute]:
    terms = listing.offer.terms
    said = partial(_attribute, listing.offer.id, language)
    yield said(_CATEGORIES, terms.category, _help(listing, language))
    for reserved in sorted(terms.audience):
        yield said(_AUDIENCES, reserved, say(f"directory.for.{reserved}", language))
    for each in _provided(listing):
        base = each.partition(":")[0]
        word = next((w for w in (f"access.{each}", f"directory.provides.{base}") if knows(w)), None)
        yield said(_PROVISIONS, each, say(word, language) if word else each)


def _attribute(offer_id: UUID, language: str, vocabulary: str, code: str, name: str) -> Attribute:
    words = say(f"directory.vocabulary.{vocabulary}", language)
    taxonomy_id, term_id = _id("taxonomy", vocabulary), _id("term", f"{vocabulary} {code}")
    return Attribute(
        id=_id(f"attribute {vocabulary} {code}", offer_id),
        link_id=offer_id,
        taxonomy_term_id=term_id,
        link_type=vocabulary,
        link_entity="service",
        value=code,
        taxonomy_term=TaxonomyTerm(
            id=term_id,
            code=code,
            name=name,
            description=name,
            taxonomy=words,
            taxonomy_id=taxonomy_id,
            taxonomy_detail=Taxonomy(id=taxonomy_id, name=words, description=words),
            language=language,
        ),
    )


def _capacities(listing: Listing, language: str) -> list[Capacity] | None:
    if listing.free is None:
        return None
    offer, unit = listing.offer, Unit(id=_id("unit", "people"), name=say("directory.people", language))
    return [
        Capacity(
            id=_id("capacity", offer.id),
            service_id=offer.id,
            unit_id=unit.id,
            available=listing.free,
            maximum=offer.terms.capacity,
            updated=listing.seen_at,
            unit=unit,
        )
    ]
