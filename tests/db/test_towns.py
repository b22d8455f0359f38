"""Towns of the real gazetteer, found in any script, near ones and large ones first."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import towns
from db.connection import connect, transaction
from db.settings import Settings
from db.towns import TownFacts
from geo.cells import Point
from matching.refusals import NotFound
from matching.vocabulary import TownRole
from relais.gazetteer import UnknownTown, ensure_town, load_countries
from tests.conftest import Servers, run_on_server, settings_for

BRIANCON, MYTILENE = 3030142, 256866
IN_THE_ALPS = Point(6.64, 44.90)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gazetteer(servers: Servers, secret_files: tuple, template: str) -> AsyncIterator[Settings]:  # type: ignore[type-arg]
    """A database with all towns of France and Greece."""
    name = f"{template}_towns"
    await run_on_server(servers, f"create database {name} template {template}")
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


async def test_a_country_can_be_asked_for(europe: AsyncConnection) -> None:
    assert {town.country for town in await found(europe, "a", country="GR")} == {"GR"}


@pytest.mark.parametrize("typed", ["%", "_", "", "  ", "\x00", "'; drop table town; --", "\\", "\ud83d"])
async def test_signs_that_mean_something_to_a_database_mean_nothing_here(europe: AsyncConnection, typed: str) -> None:
    assert await found(europe, typed.encode("utf-8", "replace").decode()) == []


async def test_the_search_reads_the_index_and_not_the_table(europe: AsyncConnection) -> None:
    plan = (
        await europe.execute(
            text("explain select town_id from town_name where folded ~>=~ :start and folded ~<~ :end"),
            {"start": "briancon", "end": "briancon\U0010ffff"},
        )
    ).scalars()
    said = "\n".join(plan)
    assert "town_name_folded_idx" in said
    assert "Seq Scan" not in said


async def test_loading_again_adds_nothing(europe: AsyncConnection) -> None:
    assert await load_countries(europe, ["FR", "GR"]) == 0


async def test_a_town_of_a_country_that_is_not_loaded_is_loaded_with_its_country(tx: AsyncConnection) -> None:
    await ensure_town(tx, MYTILENE)
    assert (await towns.get(tx, MYTILENE)).country == "GR"
    assert [town.id for town in await found(tx, "Μυτιλήνη")][:1] == [MYTILENE]


async def test_a_number_that_no_town_has_is_told_in_words(tx: AsyncConnection) -> None:
    with pytest.raises(UnknownTown, match="Nothing was changed"):
        await ensure_town(tx, 1)
    with pytest.raises(NotFound):
        await towns.get(tx, 1)


async def test_roles_say_what_a_town_is_to_people_on_the_road(tx: AsyncConnection) -> None:
    await towns.set_roles(tx, BRIANCON, [TownRole.TRANSIT, TownRole.BORDER])
    assert (await towns.get(tx, BRIANCON)).roles == (TownRole.BORDER, TownRole.TRANSIT)
