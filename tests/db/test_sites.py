"""Sites that move: who is there is not moved, and who was visited elsewhere is visited anew."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import candidates, holds, offers, policies, seekers, sites
from db.addresses import Vault
from db.connection import transaction
from db.sites import SiteTerms
from geo.cells import COARSE_RESOLUTION, Point, cell_of
from matching.refusals import CapacityInUse, Invalid
from matching.vocabulary import SiteKind, Visibility
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold, one, rows
from tests.places import BRIANCON, CLAVIERE, GAP, MONTGENEVRE

VAULT = Vault(bytes(range(32)))
DOOR = Point(BRIANCON.longitude, BRIANCON.latitude)
HOME = SiteTerms(
    name="Upstairs",
    town_id=BRIANCON.id,
    kind=SiteKind.PRIVATE_HOME,
    visibility=Visibility.ON_CONFIRMATION,
    provides=frozenset(),
    staffing=None,
)
Home = tuple[UUID, UUID]


async def home(engine: AsyncEngine) -> Home:
    """An association and a home that it has visited."""
    async with transaction(engine) as tx:
        association = await add_organization(tx)
        site_id = await sites.add(tx, association, HOME, DOOR, VAULT)
        await sites.vet(tx, site_id, association)
    return association, site_id


async def revise(engine: AsyncEngine, there: Home, to: Point | None = None, **changes: object) -> None:
    def revised(terms: SiteTerms) -> SiteTerms:
        return replace(terms, **changes)  # type: ignore[arg-type]

    async with transaction(engine) as tx:
        await sites.change(tx, there[1], there[0], None, revised, to, VAULT, b"")


async def open_there(engine: AsyncEngine, there: Home) -> None:
    """Beds at the home, and a party that holds them."""
    async with transaction(engine) as tx:
        offer_id = await add_offer(tx, there[0])
        need_id = await add_need(tx, there[0])
    cell = (await one(engine, "select cell from site where id = :id", id=there[1])).cell
    await rows(
        engine, "update offer set site_id = :site, cell = :cell where id = :id", site=there[1], cell=cell, id=offer_id
    )
    assert await hold(engine, need_id)


async def test_a_home_that_moved_is_visited_anew(engine: AsyncEngine) -> None:
    there = await home(engine)
    await revise(engine, there, Point(DOOR.longitude + 0.01, DOOR.latitude))
    site = await one(engine, "select vetted_by, vetted_at from site")
    assert (site.vetted_by, site.vetted_at) == (None, None)


async def test_a_pin_set_right_or_a_new_name_is_no_move(engine: AsyncEngine) -> None:
    there = await home(engine)
    await open_there(engine, there)
    await revise(engine, there, Point(DOOR.longitude + 0.0005, DOOR.latitude), name="Downstairs")
    site = await one(engine, "select name, vetted_by from site where id = :id", id=there[1])
    assert (site.name, site.vetted_by) == ("Downstairs", there[0])


@pytest.mark.parametrize("far", [0.004, -0.3])
async def test_no_home_moves_from_under_its_people_be_it_to_the_next_street(engine: AsyncEngine, far: float) -> None:
    there = await home(engine)
    await open_there(engine, there)
    before = await rows(engine, "select s.*, l.location from site s join site_location l on l.site_id = s.id")
    with pytest.raises(CapacityInUse):
        await revise(engine, there, Point(DOOR.longitude + far, DOOR.latitude))
    assert await rows(engine, "select s.*, l.location from site s join site_location l on l.site_id = s.id") == before


async def test_offers_go_where_their_site_goes(engine: AsyncEngine) -> None:
    there = await home(engine)
    async with transaction(engine) as tx:
        offer_id = await add_offer(tx, there[0])
    await rows(engine, "update offer set site_id = :site where id = :id", site=there[1], id=offer_id)
    gap = Point(GAP.longitude, GAP.latitude)
    await revise(engine, there, gap, town_id=GAP.id)
    assert (await one(engine, "select cell from offer where id = :id", id=offer_id)).cell == cell_of(
        gap, COARSE_RESOLUTION
    )
    await revise(engine, there, kind=SiteKind.MUNICIPAL_BUILDING)
    async with transaction(engine) as tx:
        assert (await offers.read(tx, offer_id, there[0], frozenset())).cell == cell_of(gap)


async def test_a_town_too_far_from_its_site_is_refused_and_nothing_changes(engine: AsyncEngine) -> None:
    there = await home(engine)
    before = await rows(engine, "select * from site")
    with pytest.raises(Invalid) as refused:
        await revise(engine, there, town_id=GAP.id)
    assert [(flaw.at, flaw.code) for flaw in refused.value.flaws] == [("/location", "location_far_from_town")]
    assert await rows(engine, "select * from site") == before


async def test_no_pin_over_the_border_stands_for_a_bed_on_this_side(engine: AsyncEngine) -> None:
    """P2: the rule `border` goes by the town; a pin elsewhere would send people over the line unasked."""
    there = await home(engine)
    before = await rows(engine, "select * from site")
    in_claviere = Point(6.7497, 44.9389)
    with pytest.raises(Invalid) as refused:
        await revise(engine, there, in_claviere)
    assert [(flaw.at, flaw.code) for flaw in refused.value.flaws] == [("/location", "location_in_another_country")]
    assert await rows(engine, "select * from site") == before
    await revise(engine, there, in_claviere, town_id=CLAVIERE.id)
    with pytest.raises(Invalid):
        await revise(engine, there, town_id=MONTGENEVRE.id)


async def test_of_two_changes_at_once_neither_undoes_the_other(engine: AsyncEngine) -> None:
    there = await home(engine)
    for n in range(5):
        provides = frozenset({"lift"} if n % 2 else {"quiet"})
        await asyncio.gather(
            revise(engine, there, name=f"Floor {n}"),
            revise(engine, there, provides=provides),
        )
        site = await one(engine, "select name, provides from site")
        assert (site.name, site.provides) == (f"Floor {n}", sorted(provides))


async def test_a_name_changes_while_somebody_is_being_placed_there(engine: AsyncEngine) -> None:
    there = await home(engine)
    await open_there(engine, there)
    async with transaction(engine) as tx:
        await tx.exec_driver_sql("select 1 from offer for key share")
        # Only a move waits for the offers: parties are placed under a share of their locks all evening.
        await asyncio.wait_for(revise(engine, there, name="Attic"), timeout=5)
    assert (await one(engine, "select name from site where id = :id", id=there[1])).name == "Attic"


async def test_nobody_takes_places_by_what_a_site_provided_before(engine: AsyncEngine) -> None:
    there = await home(engine)
    async with transaction(engine) as tx:
        offer_id = await add_offer(tx, there[0])
        need_id = await add_need(tx, there[0])
    cell = (await one(engine, "select cell from site where id = :id", id=there[1])).cell
    await rows(engine, "update offer set site_id = :site, cell = :cell", site=there[1], cell=cell)
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        seeker = await seekers.claim(tx, need_id, policy)
        assert seeker is not None
        (found,) = await candidates.find(tx, seeker.need, policy, seeker.now)
        await revise(engine, there, provides=frozenset({"quiet"}))
        assert await holds.take(tx, seeker, found, 1, policy) is None
    assert await hold(engine, need_id), "it is found again as it is now"
    assert offer_id == found.offer_id


async def test_a_home_is_visited_once_until_it_moves(engine: AsyncEngine) -> None:
    there = await home(engine)
    before = await rows(engine, "select * from site")
    async with transaction(engine) as tx:
        await sites.vet(tx, there[1], there[0])
    assert await rows(engine, "select * from site") == before
    assert len(await rows(engine, "select id from event where kind = 'site.vetted'")) == 1
    await revise(engine, there, Point(DOOR.longitude + 0.01, DOOR.latitude))
    async with transaction(engine) as tx:
        await sites.vet(tx, there[1], there[0])
    assert len(await rows(engine, "select id from event where kind = 'site.vetted'")) == 2
