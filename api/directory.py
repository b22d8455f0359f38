"""The directory, at the paths and in the pages of the HSDS 3.0 API.

Without a key it is of public places alone; with one, of what the key's list of offers shows: `docs/exports.md`.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.authorization import Caller, ReadsDirectory
from api.filters import OfCategory
from api.hsds import (
    FullService,
    OrganizationEntry,
    OrganizationPage,
    ServiceAtLocationPage,
    ServicePage,
    Specification,
)
from api.listings import full_service, organization, service, service_at_location
from api.offers import seen_towns
from api.problems import problems
from api.slip import LanguageTag
from api.transactions import TransactionalRoute, Tx
from api.wording import language_of
from db import directory
from db.directory import Chosen, Reader
from matching.refusals import NotFound

__all__ = ["router"]

router = APIRouter(prefix="/v1/export/hsds", tags=["directory"], route_class=TransactionalRoute)
_SHOWN: dict[str, Any] = {
    "response_model_exclude_none": True,
    # A key may be shown, and need not.
    "openapi_extra": {"security": [{}]},
}
PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="From 1 on.")]
PerPage = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
OfOrganization = Annotated[UUID | None, Query(description="Only what this organization gives.")]


async def _chosen(category: OfCategory, organization_id: OfOrganization = None) -> Chosen:
    return Chosen(category, organization_id)


Which = Annotated[Chosen, Depends(_chosen)]
"""Which offers are asked for, in a route's signature."""


@router.get("", responses=problems(422), **_SHOWN)
async def read_specification(_who: ReadsDirectory) -> Specification:
    """Which specification this directory keeps to."""
    return Specification(
        version="3.0", profile="https://docs.openreferral.org/en/3.0/hsds/", openapi_url="/openapi.json"
    )


@router.get("/services", responses=problems(401, 403, 422, 429), **_SHOWN)
async def list_services(
    who: ReadsDirectory,
    tx: Tx,
    chosen: Which,
    page: PageNumber = 1,
    per_page: PerPage = 50,
    full: Annotated[bool, Query(description="With all that belongs to each.")] = False,  # noqa: FBT002 - HSDS names it
    accept_language: LanguageTag = None,
) -> ServicePage:
    """Offers as services, oldest first."""
    language, told = language_of(accept_language), full_service if full else service
    shelf = await directory.page(tx, _reader(who), chosen, page, per_page)
    contents = [told(each, language) for each in shelf.listings]
    return ServicePage(**_numbers(page, per_page, shelf.in_all, contents), contents=contents)


@router.get("/services/{service_id}", responses=problems(401, 403, 404, 422, 429), **_SHOWN)
async def read_service(
    service_id: UUID, who: ReadsDirectory, tx: Tx, accept_language: LanguageTag = None
) -> FullService:
    """One offer as a service, with all that belongs to it."""
    return full_service(await directory.read(tx, _reader(who), service_id), language_of(accept_language))


@router.get("/organizations", responses=problems(401, 403, 422, 429), **_SHOWN)
async def list_organizations(
    who: ReadsDirectory,
    tx: Tx,
    page: PageNumber = 1,
    per_page: PerPage = 50,
    accept_language: LanguageTag = None,
) -> OrganizationPage:
    """Who gives the services, as far as that may be told."""
    language = language_of(accept_language)
    found = await directory.givers(tx, _reader(who))
    contents = [organization(each, language) for each in found[(page - 1) * per_page :][:per_page]]
    return OrganizationPage(**_numbers(page, per_page, len(found), contents), contents=contents)


@router.get("/organizations/{organization_id}", responses=problems(401, 403, 404, 422, 429), **_SHOWN)
async def read_organization(
    organization_id: UUID, who: ReadsDirectory, tx: Tx, accept_language: LanguageTag = None
) -> OrganizationEntry:
    """One who gives services."""
    for each in await directory.givers(tx, _reader(who)):
        if each.id == organization_id:
            return organization(each, language_of(accept_language))
    raise NotFound


@router.get("/service_at_locations", responses=problems(401, 403, 422, 429), **_SHOWN)
async def list_service_at_locations(
    who: ReadsDirectory,
    tx: Tx,
    chosen: Which,
    page: PageNumber = 1,
    per_page: PerPage = 50,
    accept_language: LanguageTag = None,
) -> ServiceAtLocationPage:
    """Offers at their places, by the middle of a cell."""
    language = language_of(accept_language)
    shelf = await directory.page(tx, _reader(who), chosen, page, per_page)
    contents = [service_at_location(each, language) for each in shelf.listings]
    return ServiceAtLocationPage(**_numbers(page, per_page, shelf.in_all, contents), contents=contents)


def _reader(who: Caller | None) -> Reader | None:
    return Reader(who.organization_id, seen_towns(who)) if who else None


def _numbers(page: int, per_page: int, in_all: int, contents: Sequence[object]) -> dict[str, Any]:
    pages = -(-in_all // per_page)
    return {
        "total_items": in_all,
        "total_pages": pages,
        "page_number": page,
        "size": len(contents),
        "first_page": page == 1,
        "last_page": page >= pages,
        "empty": not contents,
    }
