"""`relais import sites|offers|pledges`: a spreadsheet is brought in whole or not at all, and safely twice."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typer.testing import Result

from db import locations, offers, organizations, pledges, sites, towns
from db.addresses import Vault
from db.connection import transaction
from db.locations import Address
from db.offers import Filter, OfferFacts
from db.settings import Settings
from db.sites import SiteFacts, SiteTerms
from db.towns import TownFacts
from geo.cells import Point
from geo.gazetteer import GazetteerTown
from geo.names import starts_of
from matching.vocabulary import Audience, OrganizationKind, SiteKind, Visibility
from relais.importing import telling
from relais.importing.limits import MOST_ROWS
from tests.builders import TONIGHT
from tests.places import BRIANCON, GAP, OULX, PLACES
from tests.relais.conftest import Relais
from tests.relais.spreadsheets import Rows, csv_file, xlsx_file
from tests.waiting import eventually

STREET = "17 impasse du Secret-Bien-Gardé"
MEETING = "devant la fontaine cachée"
LONGITUDE, LATITUDE = "6.6412345", "44.9012345"
FRENCH = ("Nom", "Ville", "Type", "Longitude", "Latitude", "Adresse", "Point de rencontre", "Équipements", "Remarques")
GYM = (
    "Gymnase du Prorel",
    "briancon",
    "bâtiment communal",
    LONGITUDE,
    LATITUDE.replace(".", ","),
    STREET,
    MEETING,
    "douches, sans marches",
    "",
)
HOME = ("Chez l'habitant", "Gap", "domicile privé", GAP.longitude, GAP.latitude, "", "", "", "Anna, 06 12 34 56 78")
GUARDED = (STREET, MEETING, LONGITUDE, LATITUDE, LATITUDE.replace(".", ","), "Anna", "06 12")
OFFER_HEADERS = (
    "Lieu",
    "Aide",
    "Places",
    "Premier jour",
    "Dernier jour",
    "Nuit de…",
    "à",
    "Jours",
    "Public",
    "Arrivée avant",
)
FIRST, LAST = TONIGHT, TONIGHT + timedelta(days=9)
NIGHTS = (
    "gymnase du prorel",
    "hébergement",
    "30",
    f"{FIRST:%d/%m/%Y}",
    f"{LAST:%Y-%m-%d}",
    "20h",
    "8:00",
    "tous les jours",
    "femmes, familles",
    "22h30",
)
PLEDGE_HEADERS = (
    "Skill",
    "Volunteers",
    "Town",
    "Radius (km)",
    "First day",
    "Last day",
    "From",
    "Until",
    "Weekdays",
    "Shifts per week",
)
WATCH = ("night watch", 4, "Oulx", 20, FIRST, LAST, "18:00", "09:00", "Fri-Sun", 6)


@pytest_asyncio.fixture(loop_scope="function")
async def association(engine: AsyncEngine) -> UUID:
    """An association, where towns can be found by name; Gap has a namesake over the border."""
    namesake = replace(GAP, id=1, country="IT", population=12)
    async with transaction(engine) as tx:
        await towns.add(
            tx,
            [
                GazetteerTown(
                    place.id,
                    place.name,
                    place.country,
                    place.population,
                    place.timezone,
                    place.point,
                    dict.fromkeys(starts_of(place.name), place.name),
                )
                for place in (*PLACES, namesake)
            ],
        )
        return await organizations.add(tx, OrganizationKind.ASSOCIATION, "Refuge", [BRIANCON.id])


async def bring(relais: Relais, kind: str, file: Path, organization: UUID, *more: str) -> Result:
    """Run the command; it never breaks, and never shows what is guarded."""
    result = await relais("import", kind, str(file), "--organization", str(organization), *more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not [secret for secret in GUARDED if secret in result.output], result.output
    return result


async def add_gym(tx: AsyncConnection, settings: Settings, organization: UUID, name: str = GYM[0]) -> UUID:
    terms = SiteTerms(
        name, BRIANCON.id, SiteKind.MUNICIPAL_BUILDING, Visibility.ON_CONFIRMATION, frozenset({"showers"}), None
    )
    return await sites.add(tx, organization, terms, BRIANCON.point, Vault.of_file(settings.address_key_file))


async def all_sites(engine: AsyncEngine, organization: UUID) -> Sequence[SiteFacts]:
    async with transaction(engine) as tx:
        found = (await sites.page(tx, organization, None, 100)).items
    return sorted(found, key=lambda site: site.terms.town_id, reverse=True)


async def all_offers(engine: AsyncEngine, organization: UUID) -> Sequence[OfferFacts]:
    async with transaction(engine) as tx:
        return (await offers.page(tx, organization, frozenset(), Filter(), None, 100)).items


async def test_sites_are_shown_first_then_brought_in_with_their_places_sealed_and_only_once(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    file = csv_file(tmp_path / "sites.csv", [FRENCH, GYM, HOME], encoding="cp1252")
    shown = await bring(relais, "sites", file, association, "--column", "town=Ville")
    # Gap is in two countries: nothing of the file is taken in.
    assert shown.exit_code == 1
    assert "row 3, column “Ville” (town): several towns" in shown.stderr
    assert f"Gap (FR, 40895 people): {GAP.id}; Gap (IT, 12 people): 1" in shown.stderr

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


async def test_one_row_with_errors_keeps_the_whole_file_out_and_all_errors_are_told_at_once(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        await add_gym(tx, settings, association)
    wrong = [
        ("Nowhere", *NIGHTS[1:]),
        (NIGHTS[0], "hugs", "many", "tomorrow", *NIGHTS[4:]),
        (*NIGHTS[:3], "01/01/2020", "02/01/2020", *NIGHTS[5:]),
        (*NIGHTS[:5], "9:00", "17:00", *NIGHTS[7:9], ""),
        (NIGHTS[0], "hugs", *NIGHTS[2:]),
        (*NIGHTS[:2], "29", *NIGHTS[3:]),
        ("x" * 10_000, *NIGHTS[1:]),
        ('=HYPERLINK("https://example.org")', *NIGHTS[1:]),
    ]
    refused = await bring(
        relais, "offers", csv_file(tmp_path / "o.csv", [OFFER_HEADERS, NIGHTS, *wrong]), association, "--yes"
    )
    assert refused.exit_code == 1
    told = [line.strip() for line in refused.stderr.splitlines()]
    for row, column, said in (
        (3, "“Lieu” (site)", "no site that is called so"),
        (4, "“Places” (capacity)", "a whole number"),
        (4, "“Premier jour” (first_day)", "a day is needed"),
        (5, "“Dernier jour” (last_day)", "over already"),
        (6, "“à” (closes)", "no night between"),
        (7, "“Aide” (category)", "no such kind of help"),
        (9, "“Lieu” (site)", "too long"),
        (10, "“Lieu” (site)", "no site that is called so"),
    ):
        assert [line for line in told if f"row {row}, column {column}: " in line and said in line], (row, told)
    assert [line for line in told if "row 8: this is the same as row 2" in line], told
    assert not [secret for secret in ("HYPERLINK", "xxx", "hugs", "tomorrow", "Nowhere") if secret in refused.output]
    assert await all_offers(engine, association) == ()
    # It was those rows: without them, the same file is taken in.
    done = await bring(relais, "offers", csv_file(tmp_path / "o.csv", [OFFER_HEADERS, NIGHTS]), association, "--yes")
    assert done.exit_code == 0, done.output
    assert len(await all_offers(engine, association)) == 1


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
    monkeypatch.setattr("relais.importing.sites._GIVEN", STREET)
    with pytest.raises(AssertionError, match=STREET):
        await bring(relais, "sites", file, association)


async def test_who_brings_in_the_same_file_at_the_same_moment_waits_and_finds_it_there(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    file = csv_file(tmp_path / "s.csv", [FRENCH[:5], GYM[:5]])

    async def waits() -> bool:
        async with transaction(engine) as looking:
            found = await looking.execute(
                text(
                    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                    "and application_name = 'relais-command' and datname = current_database()"
                )
            )
            return bool(found.scalar_one())

    async with transaction(engine) as tx:
        await organizations.bringing_in(tx, association)
        second = asyncio.create_task(bring(relais, "sites", file, association, "--yes"))
        await eventually(waits, "the second waits for the first", 4)
        await add_gym(tx, settings, association)
    assert "0 new, 1 there already" in (await second).stdout
    assert len(await all_sites(engine, association)) == 1


async def test_who_waits_in_vain_for_another_is_told_so(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAIS_LOCK_SECONDS", "1")
    file = csv_file(tmp_path / "s.csv", [FRENCH[:5], GYM[:5]])
    async with transaction(engine) as tx:
        await organizations.bringing_in(tx, association)
        # Who only looks waits for nobody.
        assert (await bring(relais, "sites", file, association)).exit_code == 0
        refused = await bring(relais, "sites", file, association, "--yes")
    assert refused.exit_code == 1
    assert "waited for in vain" in refused.stderr
    assert not await all_sites(engine, association)


async def test_when_the_database_takes_one_row_for_wrong_none_is_kept(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path
) -> None:
    rows = [(f"Gym {number}", "Oulx", "association", OULX.longitude, OULX.latitude, STREET) for number in range(5)]
    file = csv_file(tmp_path / "s.csv", [FRENCH[:6], *rows])
    async with transaction(engine) as tx:
        await tx.execute(text("alter table site add constraint breaks check (name <> 'Gym 3')"))
    broken = await bring(relais, "sites", file, association, "--yes")
    assert broken.exit_code == 1
    assert "Nothing was changed" in broken.stderr
    async with transaction(engine) as tx:
        for table in ("site", "site_location", "event", "audit_pending"):
            assert (await tx.execute(text(f"select count(*) from {table}"))).scalar_one() == 0, table
        await tx.execute(text("alter table site drop constraint breaks"))
    assert (await bring(relais, "sites", file, association, "--yes")).exit_code == 0
    assert len(await all_sites(engine, association)) == 5


async def test_as_many_rows_as_may_be_come_in_at_once(
    relais: Relais, association: UUID, tmp_path: Path, *, long: bool
) -> None:
    many = MOST_ROWS if long else 250
    rows = [(f"Gym {number}", "Oulx", "association", OULX.longitude, OULX.latitude) for number in range(many)]
    done = await bring(relais, "sites", xlsx_file(tmp_path / "s.xlsx", [FRENCH[:5], *rows]), association, "--yes")
    assert done.exit_code == 0, done.output
    assert f"{many} sites were brought in" in done.stdout
    again = await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH[:5], *rows]), association)
    assert f"0 new, {many} there already" in again.stdout


async def test_two_rows_that_are_one_thing_are_one_and_must_say_the_same(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path
) -> None:
    elsewhere = (GYM[0].upper(), *GYM[1:5], "18 impasse du Secret-Bien-Gardé", *GYM[6:])
    refused = await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH, GYM, elsewhere]), association, "--yes")
    assert refused.exit_code == 1
    assert "row 3: this is the same as row 2" in refused.stderr
    assert "Secret" not in refused.output
    done = await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH, GYM, GYM]), association, "--yes")
    assert "1 new, 1 there already" in done.stdout
    assert len(await all_sites(engine, association)) == 1


async def test_what_is_no_spreadsheet_ends_the_command_in_words(
    relais: Relais, association: UUID, tmp_path: Path
) -> None:
    for name, content in (("a.xlsx", b"PK\x03\x04" + STREET.encode() * 99), ("a.csv", b"\0\1"), ("a.doc", b"")):
        (tmp_path / name).write_bytes(content)
        refused = await bring(relais, "sites", tmp_path / name, association, "--yes")
        assert refused.exit_code == 2
        assert "What to do" in refused.stderr


def test_there_is_a_bar_where_somebody_looks_and_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for looks, rows, shown in (("1", 200, True), ("1", 20, False), ("", 200, False)):
        monkeypatch.setenv("FORCE_COLOR", looks)
        assert list(telling.progress(range(rows), "Looking")) == list(range(rows))
        assert ("Looking" in capsys.readouterr().err) is shown


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
