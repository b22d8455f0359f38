"""Towns of the real gazetteer, found in any script, near ones and large ones first."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import towns
from db.connection import connect, transaction
from db.settings import Settings
from db.towns import TownFacts
from geo.cells import Point
from geo.gazetteer import GazetteerTown
from matching.refusals import NotFound
from matching.vocabulary import TownRole
from relais.gazetteer import UnknownTown, ensure_town, load_countries
from tests.conftest import Servers, run_on_server, settings_for

BRIANCON, CHAUMONT, MYTILENE = 3030142, 3025892, 256866
IN_THE_ALPS = Point(6.64, 44.90)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gazetteer(servers: Servers, secret_files: tuple, template: str) -> AsyncIterator[Settings]:  # type: ignore[type-arg]
    """A database with all towns of France and Greece."""
    name = f"{template}_towns"
    await run_on_server(servers, f"create database {name} template {template} strategy file_copy")
    settings = settings_for(servers, secret_files, name)
    engine = connect(settings, "test")
    async with transaction(engine) as tx:
        await tx.execute(text("delete from town"))
        await load_countries(tx, ["FR", "GR"])
    await engine.dispose()
    yield settings
    await run_on_server(servers, f"drop database {name} with (force)")


@pytest_asyncio.fixture(loop_scope="function")
async def europe(gazetteer: Settings) -> AsyncIterator[AsyncConnection]:
    engine: AsyncEngine = connect(gazetteer, "test")
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def found(tx: AsyncConnection, q: str, **how: object) -> list[TownFacts]:
    asked = {"country": None, "near": None, "limit": 5} | how
    return await towns.search(tx, q, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "typed", ["Briançon", "briancon", "BRIAN", "Μπριανσόν", "Бриансон", "ブリアンソン", "Brigantium"]
)
async def test_a_town_is_found_in_any_script_with_or_without_accents_and_by_its_beginning(
    europe: AsyncConnection, typed: str
) -> None:
    assert BRIANCON in [town.id for town in await found(europe, typed)]


async def test_the_names_that_people_use_find_towns_with_an_odd_first_name(europe: AsyncConnection) -> None:
    assert [town.country for town in await found(europe, "Le Perthus")] == ["FR"]
    assert "Dunkirk" in [town.name for town in await found(europe, "Dunkerque")]
    assert "Saint-Jean-de-Luz" in [town.name for town in await found(europe, "luz")]


async def test_the_larger_of_two_is_first_unless_the_smaller_is_much_nearer(europe: AsyncConnection) -> None:
    assert (await found(europe, "sain"))[0].population > 10_000
    near = await found(europe, "saint j", near=IN_THE_ALPS)
    assert near[0].point.longitude > 4
    assert abs(near[0].point.latitude - IN_THE_ALPS.latitude) < 1.5


async def test_a_town_is_not_hidden_by_a_larger_one_that_ends_with_its_name(europe: AsyncConnection) -> None:
    assert [town.id for town in await found(europe, "Chaumont", country="FR")][:1] == [CHAUMONT]
    assert "Paris 19 Buttes-Chaumont" in [town.name for town in await found(europe, "chaumont", limit=50)]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Saint-Jean-de-Luz", ("saint jean de luz", "SAINT JEAN  DE-LUZ", "\u200fsaint-jean-de-luz")),
        ("L'Haÿ-les-Roses", ("l’haÿ les roses", "Lʼhay les", "L HAY-LES-ROSES")),
    ],
)
async def test_hyphens_spaces_and_apostrophes_are_the_same(
    europe: AsyncConnection, name: str, typed: tuple[str, ...]
) -> None:
    for each in (name, *typed):
        assert [town.name for town in await found(europe, each)][:1] == [name], each


async def test_a_country_can_be_asked_for(europe: AsyncConnection) -> None:
    assert {town.country for town in await found(europe, "a", country="GR")} == {"GR"}


@pytest.mark.parametrize("typed", ["%", "_", "", "  ", "\x00", "\\", "\ud83d", "\U0010ffff", "'; drop table town; --"])
async def test_signs_that_mean_something_to_a_database_mean_nothing_here(europe: AsyncConnection, typed: str) -> None:
    assert await found(europe, typed) == []


async def test_wildcards_stand_for_no_letter(europe: AsyncConnection) -> None:
    for typed in ("bri_ncon", "bri%con", "b%", "%con"):
        assert BRIANCON not in [town.id for town in await found(europe, typed, limit=50)], typed


async def test_a_search_reads_indexes_only_also_once_its_plan_is_kept(europe: AsyncConnection) -> None:
    sent: list[tuple[str, tuple[str | int | float | None, ...]]] = []
    event.listen(europe.sync_connection, "before_cursor_execute", lambda *said: sent.append((said[2], said[3])))
    assert [town.name for town in await found(europe, "briancon", near=IN_THE_ALPS)][:1] == ["Briançon"]
    statement, given = sent[0]
    values = ", ".join("null" if value is None else f"'{value}'" for value in given)
    for kept in ("force_custom_plan", "force_generic_plan"):
        await europe.exec_driver_sql(f"set plan_cache_mode = {kept}")
        await europe.exec_driver_sql(f"prepare search_{kept} as {statement}")
        plan = "\n".join((await europe.exec_driver_sql(f"explain execute search_{kept} ({values})")).scalars())
        assert "town_name_folded_idx" in plan, plan
        assert "Seq Scan" not in plan, plan


async def test_loading_again_adds_nothing(europe: AsyncConnection) -> None:
    assert await load_countries(europe, ["FR", "GR"]) == 0


async def test_a_town_of_a_country_that_is_not_loaded_is_loaded_with_its_country(tx: AsyncConnection) -> None:
    await ensure_town(tx, MYTILENE)
    assert (await towns.get(tx, MYTILENE)).country == "GR"
    assert [town.id for town in await found(tx, "Μυτιλήνη")][:1] == [MYTILENE]


async def test_a_town_that_a_newer_gazetteer_has_is_loaded_beside_those_of_its_country(tx: AsyncConnection) -> None:
    assert "FR" in await towns.loaded_countries(tx)
    await ensure_town(tx, CHAUMONT)
    assert (await towns.get(tx, CHAUMONT)).name == "Chaumont"
    assert (await towns.get(tx, BRIANCON)).name == "Briançon"


async def test_a_number_that_no_town_has_is_told_in_words(tx: AsyncConnection) -> None:
    with pytest.raises(UnknownTown, match="Nothing was changed"):
        await ensure_town(tx, 1)
    with pytest.raises(NotFound):
        await towns.get(tx, 1)


async def test_roles_say_what_a_town_is_to_people_on_the_road(tx: AsyncConnection) -> None:
    await towns.set_roles(tx, BRIANCON, [TownRole.TRANSIT, TownRole.BORDER])
    assert (await towns.get(tx, BRIANCON)).roles == (TownRole.BORDER, TownRole.TRANSIT)


async def test_a_country_is_added_however_long_that_takes(tx: AsyncConnection) -> None:
    names = {f"town {number}": f"Town {number}" for number in range(3)}
    added = [GazetteerTown(number, "Town", "XX", 500, "UTC", IN_THE_ALPS, names) for number in range(1, 10_001)]
    # Far less than it takes, and all that the staging of it needs.
    await tx.execute(text("set local statement_timeout = '50ms'"))
    await towns.add(tx, added)
    assert "XX" in await towns.loaded_countries(tx)
