"""Files of sites. Where a site lies and how to get there is sealed, and told by nothing in here but “given”."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from db import sites, towns
from db.sites import Address, SiteFacts, SiteTerms, Staffing
from geo.cells import Point
from importing import cells
from importing.columns import Column
from importing.kinds import Bringing, Entry, Item, Kind, all_pages
from importing.reading import Reading
from matching.bounds import LATITUDE, LONGITUDE, MINIMUM_VOLUNTEERS, PEOPLE_PER_VOLUNTEER
from matching.refusals import Invalid
from matching.reveal import is_met_nowhere
from matching.vocabulary import SiteKind, Visibility

__all__ = ["NewSite", "Sites", "site_key", "sites_of"]

_GIVEN: Final = "given"
_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class NewSite:
    """A site to add, where it lies, and how to get there if that is told."""

    terms: SiteTerms
    location: Point
    address: Address | None


class Sites(Kind[NewSite]):
    """A site is there already when the organization has one of this name in this town."""

    name = "sites"
    columns = (
        Column("name", required=True),
        Column("town", required=True),
        Column("country"),
        Column("kind", required=True),
        Column("longitude", required=True, secret=True),
        Column("latitude", required=True, secret=True),
        Column("address", secret=True),
        Column("meeting_point", secret=True),
        Column("visibility"),
        Column("provides"),
        Column("skill"),
        Column("people_per_volunteer"),
        Column("minimum"),
    )

    async def there(self) -> Sequence[Entry]:
        """All sites of the organization."""
        found = await sites_of(self.bringing)
        names = await towns.names(self.bringing.tx, [site.terms.town_id for site in found])
        return [_entry(site.terms, names[site.terms.town_id], has_address=site.has_address) for site in found]

    async def read(self, row: Reading) -> Item[NewSite]:
        """A site, with its point."""
        town = await self.bringing.gazetteer.town_of(row)
        name = row.must("name", cells.name)
        kind = row.must("kind", cells.one_of("kind", SiteKind))
        longitude = row.must("longitude", cells.decimal(LONGITUDE))
        latitude = row.must("latitude", cells.decimal(LATITUDE))
        visibility = row.may("visibility", cells.one_of("visibility", Visibility), Visibility.ON_CONFIRMATION)
        provides = row.may("provides", cells.provisions, frozenset[str]())
        staffing, address = _staffing(row), _address(row, visibility)
        row.finish()
        terms = SiteTerms(name, town.id, kind, visibility, provides, staffing)
        return Item(
            _entry(terms, town.name, has_address=address is not None).as_said(row),
            NewSite(terms, Point(longitude, latitude), address),
        )

    async def check(self, terms: NewSite) -> None:
        """As `POST /v1/sites` does."""
        await sites.check_new(self.bringing.tx, terms.terms, terms.location)

    async def add(self, terms: NewSite) -> UUID:
        """As `POST /v1/sites` and `PUT /v1/sites/{id}/address` do."""
        bringing = self.bringing
        site_id = await sites.add(bringing.tx, bringing.organization_id, terms.terms, terms.location, bringing.vault)
        if terms.address is not None:
            await sites.set_address(
                bringing.tx,
                site_id,
                bringing.organization_id,
                None,
                terms.address,
                bringing.vault,
                bringing.tombstone_key,
            )
        return site_id


def site_key(name: str, town_id: int) -> tuple[str, int]:
    """What makes two sites of an organization the same: name, whatever its case, and town."""
    return name.casefold(), town_id


async def sites_of(bringing: Bringing) -> list[SiteFacts]:
    """All sites of the organization."""
    return await all_pages(partial(sites.page, bringing.tx, bringing.organization_id))


def _entry(terms: SiteTerms, town: str, *, has_address: bool) -> Entry:
    staffing = terms.staffing
    return Entry(
        key=site_key(terms.name, terms.town_id),
        called=f"{terms.name}, {town}",
        facts={
            "kind": terms.kind,
            "visibility": terms.visibility,
            "provides": ", ".join(sorted(terms.provides)) or _NONE,
            "skill": staffing.skill if staffing else _NONE,
            "people_per_volunteer": str(staffing.people_per_volunteer) if staffing else _NONE,
            "minimum": str(staffing.minimum) if staffing else _NONE,
            "address": _GIVEN if has_address else _NONE,
        },
    )


def _staffing(row: Reading) -> Staffing | None:
    if not any(map(row.says, ("skill", "people_per_volunteer", "minimum"))):
        return None
    return Staffing(
        row.must("skill", cells.skill),
        row.must("people_per_volunteer", cells.whole(PEOPLE_PER_VOLUNTEER)),
        row.may("minimum", cells.whole(MINIMUM_VOLUNTEERS), 0),
    )


def _address(row: Reading, visibility: Visibility) -> Address | None:
    meeting_point = row.may("meeting_point", cells.address, None)
    if is_met_nowhere(visibility, meeting_point) and not row.says("meeting_point"):
        row.wrong("meeting_point", Invalid.one("", "required"))
    if not row.says("address"):
        if row.says("meeting_point"):
            row.wrong("address", Invalid.one("", "address_needed"))
        return None
    return Address(row.must("address", cells.address), meeting_point)
