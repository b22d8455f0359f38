"""Saying where a house is and how to get there: sealed at once, and shown by no page, not even where it was wrong."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response

from api.console.checking import Flawed, checked
from api.console.forms import Form
from api.console.pages import HOUSES, page
from api.console.revising import revise
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from api.front_door import may_ask_for
from api.sites import AddressIn, PointIn
from db import sites
from db.sites import Address, SiteFacts
from geo.cells import Point
from matching import bounds
from matching.bounds import visible_line
from matching.refusals import Flaw, Invalid
from matching.reveal import is_met_nowhere
from matching.vocabulary import Visibility

__all__ = ["MAY_ASK_WHERE", "Told", "router", "way_in"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
MAY_ASK_WHERE: Final = {"Permissions-Policy": may_ask_for("geolocation")}
"""On pages that ask where a house is a browser may be asked where it is, by a tap."""
_POINT: Final = re.compile(r"(-?\d{1,2}(?:\.\d{1,20})?)\s*[,;\s]\s*(-?\d{1,3}(?:\.\d{1,20})?)", re.ASCII)
"""Latitude, then longitude, as maps tell them."""


@dataclass(frozen=True, slots=True)
class Told:
    """Where a house is, as a point, as an address or as both."""

    place: Point | None
    address: Address | None


def way_in(form: Form, visibility: Visibility) -> Told:
    """What a form tells of the way. Raises `Invalid`, also where nothing is told of it."""
    told_of_it = Told(_point(form), _address(form, visibility))
    if told_of_it == Told(None, None):
        raise Invalid.one("/address", "address_or_point")
    return told_of_it


@router.get(f"{HOUSES}/{{site_id}}/way")
async def ask_for_way(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Empty fields: what was said before is not shown."""
    return await _asked(request, await sites.read(visit.tx, site_id, visit.who.organization_id))


@router.post(f"{HOUSES}/{{site_id}}/way")
async def tell_way(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Seal what is told; a house is not moved from under people who have a place in it."""
    own, version = visit.who.organization_id, visit.form.whole("version")
    site = await sites.read(visit.tx, site_id, own)

    async def act() -> str:
        await _tell(visit, site_id, -1 if version is None else version, way_in(visit.form, site.terms.visibility))
        return HOUSES

    async def afresh(status: int, wrong: Flawed) -> Response:
        return await _asked(request, await sites.read(visit.tx, site_id, own), status, wrong)

    return await revise(visit, site_id, act, partial(_asked, request, site), afresh, in_use="console.house.way.in_use")


async def _tell(visit: Visit, site_id: UUID, version: int, said: Told) -> None:
    own, keys = visit.who.organization_id, (visit.house.vault, visit.house.tombstone_key)
    if said.place is not None:
        await sites.change(visit.tx, site_id, own, version, lambda terms: terms, said.place, *keys)
    if said.address is not None:
        seen = version if said.place is None else None
        await sites.set_address(visit.tx, site_id, own, seen, said.address, *keys)


def _point(form: Form) -> Point | None:
    written = form.words("point")
    if not written:
        return None
    found = _POINT.fullmatch(written)
    if found is None:
        raise Invalid.one("/point", "not_a_point")
    try:
        return checked(PointIn, {"type": "Point", "coordinates": (float(found[2]), float(found[1]))}).point()
    except Invalid:
        raise Invalid.one("/point", "not_a_point") from None


def _address(form: Form, visibility: Visibility) -> Address | None:
    """Raises `Invalid`, among others where a house is met elsewhere and it is not said where."""
    elsewhere = visibility is Visibility.RENDEZVOUS
    said = {"address": form.words("address"), "meeting_point": form.words("meeting_point") if elsewhere else ""}
    if is_met_nowhere(visibility, said["meeting_point"]):
        raise Invalid.one("/meeting_point", "required")
    if not any(said.values()):
        return None
    hidden = tuple(
        Flaw(f"/{name}", "unseen_characters")
        for name, words in said.items()
        if any(visible_line(line.strip()) is None for line in words.split("\n") if line.strip())
    )
    if hidden:
        raise Invalid(hidden)
    body = checked(AddressIn, said)
    return Address(body.address, body.meeting_point)


async def _asked(request: Request, site: SiteFacts, status: int = 200, wrong: Flawed | None = None) -> Response:
    answer = await page(
        request,
        "describe",
        status=status,
        site=site.terms.name,
        rendezvous=site.terms.visibility is Visibility.RENDEZVOUS,
        version=site.version,
        form=uuid4().hex,
        flawed=wrong or {},
        bounds=bounds,
    )
    answer.headers.update(MAY_ASK_WHERE)
    return answer
