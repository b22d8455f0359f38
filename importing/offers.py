"""Files of offers: what is given at the sites that the organization has already."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import time
from functools import partial
from uuid import UUID

from db import offers, towns
from db.offers import Filter, OfferFacts
from db.sites import SiteFacts
from db.towns import TownFacts
from importing import cells, schedules
from importing.columns import Column
from importing.kinds import Bringing, Entry, Item, Kind, all_pages, yes_or_no
from importing.reading import Reading
from importing.schedules import When, when_of
from importing.sites import site_key, sites_of
from matching.bounds import CAPACITY, CONFIRM_MINUTES, NIGHTS_MAX, PARTY_MAX, SLOT_MINUTES
from matching.needs import Language
from matching.offering import OfferTerms
from matching.refusals import Invalid
from matching.states import OfferState
from matching.vocabulary import Audience, Confirmation, Level

__all__ = ["NewOffer", "Offers"]

_CONFIRM_WITHIN = 60
_NONE = "none"


@dataclass(frozen=True, slots=True)
class NewOffer:
    """An offer to open at a site."""

    site_id: UUID
    terms: OfferTerms


class Offers(Kind[NewOffer]):
    """An offer is there already when its site has one of this category and schedule, be it closed."""

    name = "offers"
    columns = (
        Column("site", required=True),
        Column("town"),
        Column("country"),
        Column("category", required=True),
        Column("capacity", required=True),
        *schedules.COLUMNS,
        Column("audience"),
        Column("provides"),
        Column("confirmation"),
        Column("confirm_within_minutes"),
        Column("slot_minutes"),
        Column("party_max"),
        Column("nights_max"),
        Column("arrive_by"),
        Column("release_no_shows"),
        Column("teaches"),
        Column("level"),
    )

    def __init__(self, bringing: Bringing) -> None:
        super().__init__(bringing)
        self._sites: Sequence[SiteFacts] = ()
        self._towns: Mapping[int, TownFacts] = {}
        self._open: Sequence[OfferFacts] = ()

    async def there(self) -> Sequence[Entry]:
        """All offers of the organization; remembers its sites."""
        bringing = self.bringing
        self._sites = await sites_of(bringing)
        self._towns = {
            town_id: await towns.get(bringing.tx, town_id) for town_id in {site.terms.town_id for site in self._sites}
        }
        page = partial(offers.page, bringing.tx, bringing.organization_id, frozenset[int](), Filter())
        found = await all_pages(page)
        self._open = [offer for offer in found if offer.state is not OfferState.CLOSED]
        names = {site.id: site.terms.name for site in self._sites}
        return [_entry(offer.site_id, names[offer.site_id], offer.terms) for offer in found]

    async def read(self, row: Reading) -> Item[NewOffer]:
        """An offer at one of the organization's sites."""
        town = await self.bringing.gazetteer.town_of(row) if row.says("town") else None
        site = await row.find("site", partial(self._site, town))
        terms = OfferTerms(
            category=row.must("category", cells.category),
            capacity=row.must("capacity", cells.whole(CAPACITY)),
            audience=row.may("audience", cells.several_of("audience", Audience), frozenset({Audience.ANYONE})),
            provides=row.may("provides", cells.provisions, frozenset[str]()),
            confirmation=row.may("confirmation", cells.one_of("confirmation", Confirmation), Confirmation.EACH),
            confirm_within_minutes=row.may("confirm_within_minutes", cells.whole(CONFIRM_MINUTES), _CONFIRM_WITHIN),
            slot_minutes=row.may("slot_minutes", cells.whole(SLOT_MINUTES), None),
            party_max=row.may("party_max", cells.whole(PARTY_MAX), None),
            nights_max=row.may("nights_max", cells.whole(NIGHTS_MAX), None),
            arrive_by=row.may("arrive_by", cells.clock, None),
            release_no_shows=row.may("release_no_shows", cells.truth, False),  # noqa: FBT003 - what is said otherwise
            language=_language(row),
            **asdict(when_of(row, "")),
        )
        row.finish()
        if not terms.timezone:
            terms = replace(terms, timezone=self._towns[site.terms.town_id].timezone)
        return Item(_entry(site.id, site.terms.name, terms).as_said(row), NewOffer(site.id, terms))

    async def check(self, terms: NewOffer) -> None:
        """As `POST /v1/offers` does."""
        await offers.check_new(self.bringing.tx, self.bringing.organization_id, terms.site_id, terms.terms)

    async def add(self, terms: NewOffer) -> UUID:
        """As `POST /v1/offers` does."""
        bringing = self.bringing
        return await offers.add(bringing.tx, bringing.organization_id, terms.site_id, terms.terms, bringing.tie_key)

    def doubt(self, terms: NewOffer) -> str | None:
        """The same beds under other dates would be promised twice."""
        new = terms.terms
        if any(
            offer.site_id == terms.site_id
            and offer.terms.category == new.category
            and offer.terms.first_day <= new.last_day
            and new.first_day <= offer.terms.last_day
            for offer in self._open
        ):
            return (
                "its site has another offer of this kind on some of these days: if these are the same places, they "
                "would count twice"
            )
        return None

    async def _site(self, town: TownFacts | None, text: str) -> SiteFacts:
        """The site that is meant, by name or id. Raises `Invalid`."""
        called = [site for site in self._sites if str(site.id) == text.lower()] or [
            site
            for site in self._sites
            if site_key(text, site.terms.town_id) == site_key(site.terms.name, site.terms.town_id)
            and town in (None, self._towns[site.terms.town_id])
        ]
        if not called:
            raise Invalid.one("", "site_not_found")
        if len(called) > 1:
            told = "; ".join(f"{site.id} in {self._towns[site.terms.town_id].name}" for site in called)
            raise Invalid.one("", "several_sites", sites=told)
        return called[0]


def _language(row: Reading) -> Language | None:
    level = row.may("level", cells.one_of("level", Level), None)
    if not row.says("teaches"):
        if row.says("level"):
            row.wrong("teaches", Invalid.one("", "required"))
        return None
    return Language(row.must("teaches", cells.language), level)


def _entry(site_id: UUID, site: str, terms: OfferTerms) -> Entry:
    when = When(terms.first_day, terms.last_day, terms.opens, terms.closes, terms.rrule, terms.timezone)
    return Entry(
        key=(site_id, terms.category, when, terms.slot_minutes),
        called=f"{terms.category} at {site}, {when}",
        facts={
            "capacity": str(terms.capacity),
            "audience": ", ".join(sorted(terms.audience)),
            "provides": ", ".join(sorted(terms.provides)) or _NONE,
            "confirmation": terms.confirmation,
            "confirm_within_minutes": str(terms.confirm_within_minutes),
            "party_max": str(terms.party_max or _NONE),
            "nights_max": str(terms.nights_max or _NONE),
            "arrive_by": _shown(terms.arrive_by),
            "release_no_shows": yes_or_no(terms.release_no_shows),
            "teaches": terms.language.teaches if terms.language else _NONE,
            "level": (terms.language.level if terms.language else None) or _NONE,
        },
    )


def _shown(clock: time | None) -> str:
    return f"{clock:%H:%M}" if clock else _NONE
