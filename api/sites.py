"""Sites: the places of an organization. Where exactly they are is taken in, sealed, and never answered."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import ReadsOffers, WritesOffers
from api.house import TheHouse
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import Instant, Latitude, Longitude, Provision, ShortText, Skill, TownId, Wire, emptied
from db import sites
from db.sites import Address, SiteFacts, SiteTerms, Staffing
from geo.cells import Point, cell_text
from matching.bounds import ADDRESS_CHARACTERS, MINIMUM_VOLUNTEERS, PEOPLE_PER_VOLUNTEER, PROVISIONS_MOST
from matching.vocabulary import SiteKind, Visibility

__all__ = ["router"]

router = APIRouter(prefix="/v1/sites", tags=["sites"], route_class=TransactionalRoute)
Provisions = Annotated[list[Provision], Field(max_length=PROVISIONS_MOST)]
CellText = Annotated[str, Field(max_length=16, pattern="^[0-9a-f]{15,16}$", examples=["871f95433ffffff"])]
AddressText = Annotated[str, Field(min_length=1, max_length=ADDRESS_CHARACTERS)]


class PointIn(Wire):
    """A place as GeoJSON writes it: longitude, then latitude."""

    type: Literal["Point"]
    coordinates: tuple[Longitude, Latitude]

    def point(self) -> Point:
        """The place."""
        return Point(*self.coordinates)


class StaffingWire(Wire):
    """Volunteers that the site needs for each slot."""

    skill: Skill
    people_per_volunteer: Annotated[int, Field(ge=PEOPLE_PER_VOLUNTEER.least, le=PEOPLE_PER_VOLUNTEER.most)]
    minimum: Annotated[int, Field(ge=MINIMUM_VOLUNTEERS.least, le=MINIMUM_VOLUNTEERS.most)] = 0


class SiteIn(Wire):
    """A physical place. `location` is kept apart and sealed; the site shows its cell."""

    name: ShortText
    town: TownId
    kind: SiteKind
    location: PointIn
    visibility: Visibility = Visibility.ON_CONFIRMATION
    provides: Provisions = Field(default_factory=list)
    staffing: StaffingWire | None = None


class SitePatch(Wire):
    """What may change of a site; what is left out stays as it is."""

    name: ShortText | None = None
    town: TownId | None = None
    kind: SiteKind | None = None
    location: PointIn | None = None
    visibility: Visibility | None = None
    provides: Provisions | None = None
    staffing: StaffingWire | None = None

    def applied_to(self, terms: SiteTerms) -> SiteTerms:
        """The site's terms with the changes. Raises `Invalid` where what must be there is set to null."""
        emptied(self, may_be_null={"staffing"})
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set - {"location"}}
        return SiteTerms(
            name=given.get("name", terms.name),
            town_id=given.get("town", terms.town_id),
            kind=given.get("kind", terms.kind),
            visibility=given.get("visibility", terms.visibility),
            provides=frozenset(given.get("provides", terms.provides)),
            staffing=_staffing(self.staffing) if "staffing" in given else terms.staffing,
        )


class AddressIn(Wire):
    """How to get there, and where to meet instead for a rendezvous."""

    address: AddressText
    meeting_point: AddressText | None = None


class SiteOut(Wire):
    """A site as its owner sees it; its exact place is not among it."""

    id: UUID
    name: ShortText
    town: TownId
    kind: SiteKind
    cell: CellText
    visibility: Visibility
    provides: Provisions
    staffing: StaffingWire | None
    has_address: bool
    vetted_by: UUID | None
    vetted_at: Instant | None
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: SiteFacts) -> "SiteOut":
        """Render one site."""
        terms, staffing = facts.terms, facts.terms.staffing
        return cls(
            id=facts.id,
            name=terms.name,
            town=terms.town_id,
            kind=terms.kind,
            cell=cell_text(facts.cell),
            visibility=terms.visibility,
            provides=sorted(terms.provides),
            staffing=StaffingWire(
                skill=staffing.skill,
                people_per_volunteer=staffing.people_per_volunteer,
                minimum=staffing.minimum,
            )
            if staffing
            else None,
            has_address=facts.has_address,
            vetted_by=facts.vetted_by,
            vetted_at=facts.vetted_at,
            created_at=facts.created_at,
            version=facts.version,
        )


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def add_site(body: SiteIn, who: WritesOffers, tx: Tx, reply: Reply, house: TheHouse) -> SiteOut:
    """Add a site of the caller's organization."""
    terms = SiteTerms(
        name=body.name,
        town_id=body.town,
        kind=body.kind,
        visibility=body.visibility,
        provides=frozenset(body.provides),
        staffing=_staffing(body.staffing),
    )
    site_id = await sites.add(tx, who.organization_id, terms, body.location.point(), house.vault)
    reply.created(f"/v1/sites/{site_id}")
    return await _site(tx, who.organization_id, site_id, reply)


@router.get("", responses=problems(401, 403, 422))
async def list_sites(who: ReadsOffers, tx: Tx, after: After, limit: Limit = 50) -> Listed[SiteOut]:
    """The caller's own sites, oldest first."""
    return listed(await sites.page(tx, who.organization_id, after, limit), SiteOut.of)


@router.get("/{site_id}", responses=problems(401, 403, 404, 422))
async def read_site(site_id: UUID, who: ReadsOffers, tx: Tx, reply: Reply) -> SiteOut:
    """One of the caller's own sites."""
    return await _site(tx, who.organization_id, site_id, reply)


@router.patch("/{site_id}", responses=problems(401, 403, 404, 409, 412, 422, 428))
async def change_site(
    site_id: UUID, body: SitePatch, who: WritesOffers, tx: Tx, reply: Reply, version: IfMatch, house: TheHouse
) -> SiteOut:
    """Change a site. It cannot be moved from under people who have a place in it, and is visited anew once moved."""
    location = body.location.point() if body.location else None
    keys = (house.vault, house.tombstone_key)
    await sites.change(tx, site_id, who.organization_id, version, body.applied_to, location, *keys)
    reply.ring()
    return await _site(tx, who.organization_id, site_id, reply)


@router.put("/{site_id}/address", responses=problems(401, 403, 404, 412, 422, 428))
async def set_address(
    site_id: UUID, body: AddressIn, who: WritesOffers, tx: Tx, reply: Reply, version: IfMatch, house: TheHouse
) -> SiteOut:
    """Seal how to get there. It is not answered by any list or export."""
    address = Address(body.address, body.meeting_point)
    await sites.set_address(tx, site_id, who.organization_id, version, address, house.vault, house.tombstone_key)
    return await _site(tx, who.organization_id, site_id, reply)


@router.post("/{site_id}/vet", responses=problems(401, 403, 404, 409, 422))
async def vet_site(site_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> SiteOut:
    """Record that the organization has visited the site: a private home is proposed only after that."""
    await sites.vet(tx, site_id, who.organization_id)
    reply.ring()
    return await _site(tx, who.organization_id, site_id, reply)


async def _site(tx: Tx, organization_id: UUID, site_id: UUID, reply: Reply) -> SiteOut:
    facts = await sites.read(tx, site_id, organization_id)
    reply.version(facts.version)
    return SiteOut.of(facts)


def _staffing(wire: StaffingWire | None) -> Staffing | None:
    return Staffing(wire.skill, wire.people_per_volunteer, wire.minimum) if wire else None
