"""A hidden site among public ones, put there as their owners do, and the whole of what a poster of needs is told.

Questions go straight at what the API and the worker call: `candidates.find` and `ranked` decide which place is held at
which distance, `offers_around` and `explain` tell all the others. Nothing else of an answer hangs on places, and who
calls these may stand in any cell, while the API lets a need stand in towns alone: who asks here can do more.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import h3
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, offers, sites, surroundings
from db.addresses import Vault
from db.sites import SiteTerms
from geo.cells import COARSE_RESOLUTION, RESOLUTION, Cell, Point, cell_of, cell_text, centroid
from geo.distance import great_circle
from matching.assign import ranked
from matching.explain import Placement, explain
from matching.needs import Need, NeedId, OfferId, People
from matching.offering import OfferTerms
from matching.policy import FIRST_POLICY
from matching.rules import Circumstances
from matching.states import AllocationState
from matching.vocabulary import (
    Audience,
    Confirmation,
    Coverage,
    OrganizationKind,
    SiteKind,
    Stay,
    Urgency,
    Visibility,
)
from matching.windows import Window, nights_of
from tests.builders import TONIGHT, add_organization, tonight
from tests.places import BRIANCON
from tests.protection.adversary import Heard, apart_km
from tests.protection.telling import inside

__all__ = ["HIDDEN", "PUBLIC", "Land", "all_over", "around", "corners", "land"]

VAULT: Final = Vault(bytes(range(32)))
PARIS: Final = ZoneInfo("Europe/Paris")
NOW: Final = datetime.now(UTC)
HIDDEN: Final = "hidden"
NEAR: Final = Point(6.6412, 44.8873)
"""A public site in the very cell of the hidden one; others stand in the next cells."""
PUBLIC: Final = {"near": NEAR, "next": Point(6.6701, 44.9052), "over": Point(6.6043, 44.9166)}
_WIDE_COUNTRIES: Final = frozenset({"FR", "IT"})


def corners(cell: Cell) -> list[Point]:
    """Four points near the corners of a cell, two and two across from each other: their middle is the cell's."""
    return [inside(cell, number) for number in (0, 3, 1, 4)]


@dataclass
class Land:
    """A hidden site among public ones, put there as their owners do, and all that a poster can see of them."""

    tx: AsyncConnection
    owner: UUID
    site: UUID
    cell: Cell
    names: dict[OfferId, str]
    transcript: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    asked: int = 0
    heard: list[tuple[Point, Heard]] = field(default_factory=list)

    async def move(self, to: Point) -> None:
        """The owner sets its pin elsewhere; a home is visited anew."""
        await sites.change(self.tx, self.site, self.owner, None, lambda terms: terms, to, VAULT, b"")
        await sites.vet(self.tx, self.site, self.owner)
        self.transcript, self.asked, self.heard = hashlib.sha256(), 0, []

    async def measure_from_exact_points(self, places: Mapping[str, Point]) -> None:
        """The fault on purpose: offers stand where their sites are, to half a metre, not in their cells' middles."""
        statement = text("update offer set cell = :cell, point = st_point(:x, :y)::geography where id = :id")
        for offer, name in self.names.items():
            exact = centroid(cell_of(places[name], 15))
            await self.tx.execute(
                statement,
                {"id": offer, "cell": cell_of(places[name], 15), "x": exact.longitude, "y": exact.latitude},
            )

    async def answer(self, origin: Point, number: int) -> Heard | None:
        """What a need at this origin is answered; all of it goes into the transcript."""
        need = need_at(origin, number)
        at = Circumstances(FIRST_POLICY, NOW)
        found = ranked(await candidates.find(self.tx, need, FIRST_POLICY, NOW), FIRST_POLICY)
        around = await surroundings.offers_around(self.tx, need, FIRST_POLICY, NOW)
        best = found[0] if found else None
        had = [offer for offer in around if best and offer.id == best.offer_id]
        placements = [] if best is None else [_placed(best.offer_id, best.distance, had[0].slots[0].window.starts)]
        told = explain(need, placements, had, around, at)
        said = {
            "held": [(self.names[each.offer_id], each.distance, each.free) for each in found],
            "chosen": [(each.placement.distance, repr(each.cost)) for each in told.chosen],
            "others": [
                (self.names[each.offer.id], each.distance, each.code, repr(each.reason.facts)) for each in told.others
            ],
            "counts": dict(told.counts),
            "around": [self.names[offer.id] for offer in around],
        }
        self.transcript.update(json.dumps(said).encode())
        self.asked += 1
        order = [self.names[offer.id] for offer in around]
        if HIDDEN not in order:
            return None
        hidden = next(offer for offer in around if self.names[offer.id] == HIDDEN)
        distances = [(each.offer_id, each.distance) for each in found]
        distances += [(each.offer.id, each.distance) for each in told.others]
        before = order.index(HIDDEN)
        # Equals are told in the order of a keyed hash, which says nothing of places. A wide cell has the middle of the
        # cell in its middle.
        middle = centroid(hidden.cell)
        tied = {self.names[each.id] for each in around if great_circle(centroid(each.cell), middle) < 1e-6}
        heard = Heard(
            km=next(km for offer, km in distances if offer == hidden.id),
            order={name: -1 if before < order.index(name) else 1 for name in sorted(set(order) - tied)},
        )
        self.heard.append((centroid(need.cell), heard))
        return heard

    def agreeing(self, points: Sequence[Point]) -> list[bool]:
        """For who knows that all is measured from cells' middles: which of these points all answers allow."""
        resolution = h3.get_resolution(cell_text(self.cell))
        middles = _array([centroid(cell_of(point, resolution)) for point in points])
        origins = _array([origin for origin, _ in self.heard])
        away = apart_km(middles, origins)
        allowed = np.all(np.floor(away + 0.5) == np.array([heard.km for _, heard in self.heard]), axis=1)
        for name, there in PUBLIC.items():
            known = apart_km(_array([centroid(cell_of(there))]), origins)
            order = np.array([heard.order.get(name, 0) for _, heard in self.heard])
            allowed &= np.all((order == 0) | (np.sign(away - known) == order), axis=1)
        return [bool(each) for each in allowed]


def _array(points: Sequence[Point]) -> NDArray[np.float64]:
    return np.array([[point.longitude, point.latitude] for point in points])


def _placed(offer: OfferId, km: int, begins: datetime) -> Placement:
    return Placement(UUID(int=1), offer, AllocationState.HELD, 1, km, FIRST_POLICY.version, frozenset({begins}))  # type: ignore[arg-type]


def need_at(origin: Point, number: int) -> Need:
    """One person tonight at this origin; every third question draws the line of `max_km` somewhere else."""
    window = Window(*tonight())
    return Need(
        id=NeedId(UUID(int=number + 2)),
        category="shelter",
        coverage=Coverage.EVERY,
        cell=cell_of(origin, 15),
        people=People(1, 0),
        window=window,
        days=nights_of(window, PARIS),
        urgency=Urgency.VITAL,
        stay=Stay.UNKNOWN,
        audience=frozenset({Audience.ANYONE}),
        requires=frozenset(),
        countries=_WIDE_COUNTRIES,
        max_km=None if number % 3 else number % 47 + 1,
        divisible=False,
        language=None,
    )


async def land(tx: AsyncConnection, kind: SiteKind, *, middle: Point = BRIANCON.point) -> Land:
    """A hidden site of this kind in the middle of its cell, and three public ones around it, each with beds."""
    owner = await add_organization(tx, OrganizationKind.ASSOCIATION, "Association")
    town_hall = await add_organization(tx)
    home = kind is SiteKind.PRIVATE_HOME
    cell = cell_of(middle, COARSE_RESOLUTION if home else RESOLUTION)
    made = {
        HIDDEN: (owner, await _site(tx, owner, kind, Visibility.ON_CONFIRMATION, centroid(cell))),
        **{
            name: (town_hall, await _site(tx, town_hall, SiteKind.MUNICIPAL_BUILDING, Visibility.PUBLIC, there))
            for name, there in PUBLIC.items()
        },
    }
    await sites.vet(tx, made[HIDDEN][1], owner)
    names = {}
    for name, (owned_by, site) in made.items():
        names[OfferId(await offers.add(tx, owned_by, site, _beds(), b"a key for ties"))] = name
    await tx.execute(text("analyze offer, slot"))
    return Land(tx, owner, made[HIDDEN][1], cell, names)


async def _site(tx: AsyncConnection, owner: UUID, kind: SiteKind, visibility: Visibility, there: Point) -> UUID:
    terms = SiteTerms("A place", BRIANCON.id, kind, visibility, frozenset(), None)
    return await sites.add(tx, owner, terms, there, VAULT)


def _beds() -> OfferTerms:
    return OfferTerms(
        category="shelter",
        capacity=10,
        audience=frozenset({Audience.ANYONE}),
        provides=frozenset(),
        confirmation=Confirmation.EACH,
        confirm_within_minutes=60,
        first_day=TONIGHT,
        last_day=TONIGHT + timedelta(days=2),
        timezone="",
        opens=time(19),
        closes=time(8),
        rrule="FREQ=DAILY",
        slot_minutes=None,
        party_max=None,
        nights_max=None,
        arrive_by=None,
        release_no_shows=False,
        language=None,
    )


def all_over(cell: Cell) -> list[Point]:
    """Points all over a cell."""
    children = h3.cell_to_children(cell_text(cell), h3.get_resolution(cell_text(cell)) + 3)
    points = [Point(longitude, latitude) for latitude, longitude in map(h3.cell_to_latlng, children)]
    # Children stick out of their parent's edge a little.
    return [point for point in points if cell_of(point, h3.get_resolution(cell_text(cell))) == cell]


def around(cell: Cell) -> list[Point]:
    """The middles of the cells around one."""
    return [centroid(Cell(h3.str_to_int(each))) for each in h3.grid_ring(cell_text(cell), 1)]
