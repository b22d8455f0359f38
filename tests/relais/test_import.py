"""`relais import sites|offers|pledges`: what a spreadsheet says is there afterwards, once, with its places sealed."""

import logging
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import locations, organizations, pledges, towns
from db.addresses import Vault
from db.connection import transaction
from db.locations import Address
from db.settings import Settings
from db.towns import TownFacts
from geo.cells import Point
from matching.vocabulary import Audience, OrganizationKind, SiteKind
from tests.places import BRIANCON, GAP, OULX
from tests.relais.bringing import (
    FIRST,
    FRENCH,
    GUARDED,
    GYM,
    HOME,
    LAST,
    LATITUDE,
    LONGITUDE,
    MEETING,
    NIGHTS,
    OFFER_HEADERS,
    PLEDGE_HEADERS,
    STREET,
    WATCH,
    add_gym,
    all_offers,
    all_sites,
    bring,
)
from tests.relais.conftest import Relais
from tests.relais.spreadsheets import Rows, csv_file, xlsx_file


async def test_sites_are_shown_first_then_brought_in_with_their_places_sealed_and_only_once(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    file = csv_file(tmp_path / "sites.csv", [FRENCH, GYM, HOME], encoding="cp1252")
    shown = await bring(relais, "sites", file, association, "--column", "town=Ville")
    # Gap is in two countries: nothing of the file is taken in.
    assert shown.exit_code == 1
    assert "row 3, column “Ville” (town): several towns" in shown.stderr
    assert f"Gap (FR, 40895): {GAP.id}; Gap (IT, 12): 1" in shown.stderr

    file = csv_file(tmp_path / "sites.csv", [FRENCH, GYM, (HOME[0], GAP.id, *HOME[2:])], encoding="cp1252")
    shown = await bring(relais, "sites", file, association)
    assert shown.exit_code == 0, shown.output
    assert "2 new, 0 there already" in shown.stdout
    assert "address given" in shown.stdout
    assert "refused" in shown.stdout
    assert not await all_sites(engine, association)

    done = await bring(relais, "sites", file, association, "--yes")
    assert done.exit_code == 0, done.output
    gym, home = await all_sites(engine, association)
    assert (gym.terms.name, gym.terms.town_id, gym.terms.provides) == (
        GYM[0],
        BRIANCON.id,
        frozenset({"showers", "step_free"}),
    )
    assert (home.terms.kind, home.has_address) == (SiteKind.PRIVATE_HOME, False)
    vault = Vault.of_file(settings.address_key_file)
    async with transaction(engine) as tx:
        assert await locations.read_place(tx, gym.id, vault) == Point(float(LONGITUDE), float(LATITUDE))
        assert await locations.read_address(tx, gym.id, vault) == Address(STREET, MEETING)
        act = (await tx.execute(text("select act, objects from audit_pending order by id desc limit 1"))).one()
    assert (act.act, act.objects) == ("relais import sites", [gym.id, home.id])  # in the order of the rows

    again = await bring(relais, "sites", file, association, "--yes")
    assert again.exit_code == 0, again.output
    assert "0 new, 2 there already" in again.stdout
    assert len(await all_sites(engine, association)) == 2


async def test_what_is_there_with_other_facts_is_told_field_by_field_and_not_changed(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        await add_gym(tx, settings, association)
    before = await all_sites(engine, association)
    file = xlsx_file(tmp_path / "sites.xlsx", [FRENCH, GYM])
    result = await bring(relais, "sites", file, association, "--yes")
    assert result.exit_code == 0, result.output
    assert "0 new, 0 there already, 1 there with other facts" in result.stdout
    assert "provides is showers, the row says showers, step_free; address is none, the row says given" in result.stdout
    assert await all_sites(engine, association) == before


async def test_offers_are_brought_in_with_their_slots_from_text_and_workbook_alike(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        await add_gym(tx, settings, association)
    showers = (GYM[0], "douches", 5, FIRST, FIRST, "9:00", "12:00", "", "", "")
    rows: Rows = [OFFER_HEADERS, NIGHTS, showers]
    done = await bring(relais, "offers", xlsx_file(tmp_path / "offers.xlsx", rows), association, "--yes")
    assert done.exit_code == 0, done.output
    found = {offer.terms.category: offer for offer in await all_offers(engine, association)}
    terms = found["shelter"].terms
    assert (terms.capacity, terms.first_day, terms.last_day, terms.timezone) == (30, FIRST, LAST, "Europe/Paris")
    assert terms.audience == {Audience.WOMEN, Audience.FAMILIES}
    assert found.keys() == {"shelter", "sanitation"}
    async with transaction(engine) as tx:
        slots = await tx.execute(
            text("select count(*), min(capacity) from slot where offer_id = :id"), {"id": found["shelter"].id}
        )
        assert slots.one() == (10, 30)
        news = await tx.execute(text("select count(*) from capacity_news"))
        assert news.scalar_one() >= 2

    again = await bring(relais, "offers", csv_file(tmp_path / "offers.csv", rows), association, "--yes")
    assert "0 new, 2 there already" in again.stdout
    more = [OFFER_HEADERS, (*NIGHTS[:2], "31", *NIGHTS[3:]), (*NIGHTS[:4], str(FIRST), *NIGHTS[5:])]
    told = await bring(relais, "offers", csv_file(tmp_path / "more.csv", more), association)
    assert "capacity is 30, the row says 31" in told.stdout
    assert "look at  row 3: its site has another offer" in told.stdout
    assert len(await all_offers(engine, association)) == 2


async def test_pledges_are_brought_in_from_text_and_workbook_alike(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path
) -> None:
    done = await bring(relais, "pledges", xlsx_file(tmp_path / "p.xlsx", [PLEDGE_HEADERS, WATCH]), association, "--yes")
    assert done.exit_code == 0, done.output
    async with transaction(engine) as tx:
        (pledge,) = (await pledges.page(tx, association, None, 10)).items
    assert (pledge.terms.skill, pledge.terms.headcount, pledge.terms.town_id) == ("night_watch", 4, OULX.id)
    assert (pledge.terms.rrule, pledge.terms.timezone) == ("FREQ=WEEKLY;BYDAY=FR,SA,SU", "Europe/Rome")
    again = await bring(relais, "pledges", csv_file(tmp_path / "p.csv", [PLEDGE_HEADERS, WATCH], "\t"), association)
    assert "0 new, 1 there already" in again.stdout


async def test_nothing_that_is_guarded_is_logged_even_when_everything_is(
    relais: Relais, association: UUID, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)
    try:
        far = (*GYM[:3], "20", *GYM[4:])
        no_address = (*GYM[:5], "", *GYM[6:])
        for row in (far, (*GYM[:4], f"{LATITUDE} N", *GYM[5:]), no_address, GYM):
            await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH, row]), association, "--yes")
    finally:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "insert into site" in caplog.text  # what was done is logged: a secret in it would be seen
    assert not [secret for secret in GUARDED if secret in caplog.text]


async def test_control_an_address_that_is_shown_is_noticed(
    relais: Relais, association: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = csv_file(tmp_path / "s.csv", [FRENCH, GYM])
    assert (await bring(relais, "sites", file, association)).exit_code == 0
    monkeypatch.setattr("importing.sites._GIVEN", STREET)
    with pytest.raises(AssertionError, match=STREET):
        await bring(relais, "sites", file, association)


async def test_who_has_nothing_of_its_own_or_is_not_there_is_told_so(
    relais: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        coordination = await organizations.add(tx, OrganizationKind.COORDINATION, "Coordination")
    file = csv_file(tmp_path / "s.csv", [FRENCH[:5], GYM[:5]])
    for organization, said in ((coordination, "has no sites of its own"), (uuid4(), "no such organization")):
        refused = await bring(relais, "sites", file, organization, "--yes")
        assert refused.exit_code == 1
        assert said in refused.stderr
    without = await bring(relais, "sites", csv_file(tmp_path / "w.csv", [FRENCH[:3], GYM[:3]]), coordination)
    assert without.exit_code == 2
    assert "The column longitude is missing" in without.stderr
    for wrong in ("name", "=x", "name="):
        assert (await bring(relais, "sites", file, coordination, "--column", wrong)).exit_code == 2


async def test_of_two_towns_of_one_name_the_organizations_own_is_meant(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path
) -> None:
    file = csv_file(tmp_path / "p.csv", [PLEDGE_HEADERS, (*WATCH[:2], "Gap", *WATCH[3:])])
    assert (await bring(relais, "pledges", file, association)).exit_code == 1
    async with transaction(engine) as tx:
        own = await organizations.add(tx, OrganizationKind.ASSOCIATION, "Of Gap", [GAP.id])
        found: list[TownFacts] = await towns.named(tx, "GAP", None)
    assert {town.country for town in found} == {"FR", "IT"}
    assert "night_watch in Gap" in (await bring(relais, "pledges", file, own)).stdout
    headers, row = (*PLEDGE_HEADERS, "Pays"), (*WATCH[:2], "gap", *WATCH[3:], "fr")
    chosen = await bring(relais, "pledges", csv_file(tmp_path / "c.csv", [headers, row]), association)
    assert chosen.exit_code == 0, chosen.output
