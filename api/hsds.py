"""What the directory says, in the words of the Human Services Data Specification (HSDS) 3.0.

Fields are named and nested as that specification has them; what there is nothing to say of is left out, as its schemas
know no null. `capacities` are those of HSDS 3.1, which 3.0 has no word for and does not forbid.
"""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from api.wire import Instant, Latitude, Longitude, Wire

__all__ = [
    "Accessibility",
    "Attribute",
    "Capacity",
    "CostOption",
    "Frequency",
    "FullService",
    "Language",
    "Location",
    "OrganizationEntry",
    "OrganizationPage",
    "Schedule",
    "ServiceAtLocation",
    "ServiceAtLocationEntry",
    "ServiceAtLocationPage",
    "ServiceEntry",
    "ServicePage",
    "Specification",
    "Status",
    "Taxonomy",
    "TaxonomyTerm",
    "Unit",
]

Line = Annotated[str, Field(max_length=400)]
Text = Annotated[str, Field(max_length=2000)]
Code = Annotated[str, Field(max_length=60)]
Count = Annotated[int, Field(ge=0)]
Clock = Annotated[str, Field(max_length=11, pattern=r"^\d\d:\d\d(Z|[+-]\d\d:\d\d)$", examples=["19:00+01:00"])]
Status = Literal["active", "inactive", "temporarily closed"]
Frequency = Literal["WEEKLY", "MONTHLY"]
Weekday = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


class Specification(Wire):
    """Which specification this directory keeps to."""

    version: Code
    profile: Line
    openapi_url: Line


class OrganizationEntry(Wire):
    """Who gives a service."""

    id: UUID
    name: Line
    description: Line


class Taxonomy(Wire):
    """A list that terms are taken from."""

    id: UUID
    name: Line
    description: Line


class TaxonomyTerm(Wire):
    """A word of one of the closed vocabularies."""

    id: UUID
    code: Code
    name: Line
    description: Line
    taxonomy: Line
    taxonomy_id: UUID
    taxonomy_detail: Taxonomy
    language: Code


class Attribute(Wire):
    """That a term holds for something."""

    id: UUID
    link_id: UUID
    taxonomy_term_id: UUID
    link_type: Code
    link_entity: Code
    value: Code | None = None
    taxonomy_term: TaxonomyTerm


class Schedule(Wire):
    """When it is open. Times carry their offset, so a schedule ends where clocks change and another goes on."""

    id: UUID
    service_id: UUID
    valid_from: date
    valid_to: date
    dtstart: date
    timezone: Annotated[float, Field(ge=-24, le=24, description="Hours east of UTC.")]
    until: date | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    wkst: Weekday | None = None
    freq: Frequency | None = None
    interval: Annotated[int, Field(ge=1)] | None = None
    byday: Line | None = None
    bymonthday: Line | None = None
    description: Line
    opens_at: Clock
    closes_at: Clock
    attending_type: Line
    notes: (
        Annotated[str, Field(max_length=400, description="The rule itself, where HSDS has no words for it.")] | None
    ) = None


class Accessibility(Wire):
    """A way in for people who need one."""

    id: UUID
    location_id: UUID
    description: Line


class Location(Wire):
    """Around where it is: the middle of a cell of some kilometres, for every place; never an address."""

    id: UUID
    location_type: Literal["physical"]
    organization_id: UUID | None = None
    name: Line
    description: Line
    latitude: Latitude
    longitude: Longitude
    external_identifier: Annotated[str, Field(max_length=16, description="The cell.")]
    external_identifier_type: Code
    accessibility: Annotated[list[Accessibility], Field(max_length=10)]


class Language(Wire):
    """A language that is taught, or that somebody there interprets."""

    id: UUID
    service_id: UUID
    code: Code
    name: Line
    note: Line


class CostOption(Wire):
    """What it costs, which is nothing."""

    id: UUID
    service_id: UUID
    option: Line
    amount: Annotated[float, Field(ge=0)]
    amount_description: Line


class Unit(Wire):
    """What a capacity counts."""

    id: UUID
    name: Line


class Capacity(Wire):
    """How many are free tonight, or today, as far as volunteers can serve them (HSDS 3.1)."""

    id: UUID
    service_id: UUID
    unit_id: UUID
    available: Count
    maximum: Count
    updated: Instant
    unit: Unit


class ServiceEntry(Wire):
    """A service with what there is one of."""

    id: UUID
    organization_id: UUID | None = None
    name: Line
    description: Text
    status: Status
    interpretation_services: Line | None = None
    application_process: Text
    fees_description: Line
    eligibility_description: Line
    assured_date: date
    organization: OrganizationEntry | None = None


class ServiceAtLocationEntry(Wire):
    """That a service is given at a location, with both."""

    id: UUID
    service_id: UUID
    location_id: UUID
    description: Line
    location: Location
    service: ServiceEntry


class ServiceAtLocation(Wire):
    """That a service is given at a location, as the service tells it."""

    id: UUID
    service_id: UUID
    location_id: UUID
    description: Line
    location: Location


class FullService(ServiceEntry):
    """A service with all that belongs to it."""

    schedules: Annotated[list[Schedule], Field(max_length=20)]
    service_at_locations: Annotated[list[ServiceAtLocation], Field(max_length=1)]
    languages: Annotated[list[Language], Field(max_length=200)]
    cost_options: Annotated[list[CostOption], Field(max_length=1)]
    attributes: Annotated[list[Attribute], Field(max_length=100)]
    capacities: Annotated[list[Capacity], Field(max_length=1)] | None = None


class _Page(Wire):
    """One page of a list, as the HSDS API numbers them."""

    total_items: Count
    total_pages: Count
    page_number: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=0, description="Of this page.")]
    first_page: bool
    last_page: bool
    empty: bool


class ServicePage(_Page):
    """Services."""

    contents: Annotated[list[FullService | ServiceEntry], Field(max_length=100)]


class OrganizationPage(_Page):
    """Organizations."""

    contents: Annotated[list[OrganizationEntry], Field(max_length=100)]


class ServiceAtLocationPage(_Page):
    """Services at their locations."""

    contents: Annotated[list[ServiceAtLocationEntry], Field(max_length=100)]
