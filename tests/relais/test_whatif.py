"""`relais whatif`: true figures of what would change, nothing written, and plain words for a wrong question."""

import json
import re
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import Result

from db.bell import Bell
from db.connection import snapshot, transaction
from db.pictures import read_picture
from db.settings import Settings
from matching.windows import MORNING
from tests.builders import TONIGHT, add_need, add_offer, add_organization
from tests.conftest import ROOT
from tests.db.acts import hold, look_at_all_due, one, rows
from tests.pacts import MONDAY
from tests.places import BRIANCON, GAP, MONTGENEVRE, OULX, PlaceRow
from tests.relais.conftest import Relais
from tests.sharing import share
from tests.volunteers import add_gym, add_pledge
from worker.staffing import Staffing

Figures = dict[str, tuple[int, int]]


@pytest.fixture
def whatif(relais: Relais) -> Relais:
    """Run `relais whatif`, thinking for a short while."""
    return partial(relais, "whatif", "--seconds", "0.3")


def figures(answer: Result) -> Figures:
    """The rows of the printed table: as it is, and as it would be."""
    assert answer.exit_code == 0, answer.output
    found = re.findall(r"^│ +(\S.*?) +│ +(\d+) │ +(\d+) │", answer.stdout, re.MULTILINE)
    return {name: (int(was), int(would)) for name, was, would in found}


def written(folder: Path, changes: object) -> str:
    file = folder / "changes.json"
    file.write_text(changes if isinstance(changes, str) else json.dumps(changes))
    return str(file)


def hall(**changes: object) -> dict[str, Any]:
    """A hall of twenty beds that is not there."""
    days = {"first_day": TONIGHT.isoformat(), "last_day": (TONIGHT + timedelta(days=6)).isoformat()}
    offer = {"capacity": 20, "opens": "19:00", "closes": "08:00", **days}
    return {"name": "School hall", "town": BRIANCON.id, "offers": [offer], **changes}


async def placed(engine: AsyncEngine, people: int, **terms: object) -> UUID:
    """A party that holds a place."""
    poster = await organization(engine)
    async with transaction(engine) as tx:
        need = await add_need(tx, poster, people=people, **terms)
    assert await hold(engine, need)
    return need


async def waiting(engine: AsyncEngine, people: int, **terms: object) -> UUID:
    """A party that looked in vain."""
    poster = await organization(engine)
    async with transaction(engine) as tx:
        need = await add_need(tx, poster, people=people, **terms)
    assert not await hold(engine, need)
    return need


async def organization(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx)


async def test_who_is_in_a_site_that_closes_goes_elsewhere_or_stays_without(
    whatif: Relais, engine: AsyncEngine
) -> None:
    town = await organization(engine)
    async with transaction(engine) as tx:
        await add_offer(tx, town, capacity=10, site={"name": "Gymnase du Prorel"})
    await placed(engine, 4)
    await placed(engine, 3)
    async with transaction(engine) as tx:
        await add_offer(tx, town, capacity=4, place=MONTGENEVRE, site={"name": "Rest room"})
    found = figures(await whatif("--close", "gymnase du prorel"))
    assert found["ask for a bed"] == (7, 7)
    assert found["have one"] == (7, 4), "the larger party goes to Montgenèvre"
    assert found["keep the one they have"] == (7, 0)
    assert (found["stay without"], found["full"]) == ((0, 3), (0, 3))
    km = found["kilometres, of all who have one"]
    assert km[0] == 0 < km[1]


async def test_a_hall_that_is_not_there_opens_with_volunteers_who_are_not_there(
    whatif: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    await waiting(engine, 4)
    staffing = {"skill": "night_watch", "people_per_volunteer": 10, "minimum": 2}
    alone = figures(await whatif(written(tmp_path, {"sites": [hall(staffing=staffing)]})))
    assert (alone["have one"], alone["stay without"]) == ((0, 0), (4, 4))
    assert (alone["nobody offers beds"], alone["room, but no volunteers"]) == ((4, 0), (0, 4))
    both = figures(
        await whatif(written(tmp_path, {"sites": [hall(staffing=staffing)]}), "--volunteers", f"3@{BRIANCON.id}")
    )
    assert both["have one"] == (0, 4)
    assert (both["shifts of volunteers"], both["volunteers in them"]) == ((0, 1), (0, 2))


def nights_until_tonight() -> int:
    """From the night in which the clock stands, which before the morning is the one that is going on."""
    now = datetime.now(ZoneInfo("Europe/Paris"))
    return (TONIGHT - (now.date() - timedelta(days=int(now.time() < MORNING)))).days


async def test_arrivals_stay_together_and_on_their_side_of_the_border(
    whatif: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    town = await organization(engine)
    async with transaction(engine) as tx:
        await add_offer(tx, town, capacity=5)
        await add_offer(tx, town, capacity=50, place=OULX)
    coming = {"people": 9, "town": BRIANCON.id, "parties_of": 3, "after_nights": nights_until_tonight()}
    at_home = figures(await whatif(written(tmp_path, {"arrivals": [coming]})))
    assert (at_home["have one"], at_home["full"]) == ((0, 3), (0, 6)), "three of five beds: no party is split"
    abroad = figures(await whatif(written(tmp_path, {"arrivals": [coming | {"countries": ["FR", "IT"]}]})))
    assert abroad["have one"] == (0, 9)


async def test_without_a_pledge_others_are_called_before_people_lose_a_place(
    whatif: Relais, engine: AsyncEngine, settings: Settings
) -> None:
    town = await organization(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        first = await add_pledge(tx, town)
    await waiting(engine, 4)
    await Staffing(engine, Bell(settings)).look()
    await look_at_all_due(engine)
    alone = figures(await whatif("--without-pledge", str(first)))
    assert (alone["have one"], alone["room, but no volunteers"]) == ((4, 0), (0, 4))
    async with transaction(engine) as tx:
        await add_pledge(tx, town, headcount=2)
    beside = figures(await whatif("--without-pledge", str(first)))
    assert (beside["have one"], beside["keep the one they have"]) == ((4, 4), (4, 4))
    assert beside["of them still to be called"] == (0, 1)


async def test_a_pact_passes_on_who_finds_nothing_at_home_as_far_as_its_week_goes(
    whatif: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    gap = await organization(engine)
    async with transaction(engine) as tx:
        await add_offer(tx, gap, place=GAP, capacity=30)
    for _ in range(4):
        await waiting(engine, 4)
    found = figures(await whatif("--pact", f"10@{BRIANCON.id}:{GAP.id}"))
    assert found["have one"] == found["passed on to a partner town"] == (0, 8), "two parties of four in a week of ten"
    assert (found["no partner town"], found["the week is full"]) == ((16, 0), (0, 8))
    assert found["kilometres, of all who have one"][1] > 8 * 50, "measured from home"
    none = {"town": BRIANCON.id, "partner": GAP.id, "to_partner_per_week": 3}
    assert figures(await whatif(written(tmp_path, {"pacts": [none]})))["have one"] == (0, 0), "nobody is split"


async def test_pacts_in_force_count_and_what_their_week_has_taken_is_taken(
    whatif: Relais, engine: AsyncEngine, settings: Settings
) -> None:
    towns = await share(engine, settings)
    pact_id = await towns.pact()
    await towns.places(capacity=30)
    await rows(
        engine,
        "insert into pact_week (pact_id, to_town_id, week, people) values (:pact, :town, :week, 5)",
        pact=pact_id,
        town=GAP.id,
        week=MONDAY,
    )
    for _ in range(3):
        await waiting(engine, 4)
    found = figures(await whatif("--without-pact", str(pact_id)))
    assert found["passed on to a partner town"] == (4, 0), "five of ten are left"
    assert (found["the week is full"], found["no partner town"]) == ((8, 0), (0, 12))


async def test_parties_of_a_project_are_counted_apart_and_keep_what_they_hold(
    whatif: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    def coming(people: int) -> str:
        arrivals = {"people": people, "town": BRIANCON.id, "after_nights": nights_until_tonight()}
        return written(tmp_path, {"arrivals": [arrivals]})

    poster = await organization(engine)
    async with transaction(engine) as tx:
        offer = await add_offer(tx, poster, capacity=10)
        other = await add_offer(tx, poster, capacity=10, site={"name": "Parish hall"})
    held = await placed(engine, 4)
    (where,) = await rows(engine, "select offer_id from allocation where need_id = :id", id=held)
    gym = await one(engine, "select site_id from offer where id = :id", id=where.offer_id)
    assert where.offer_id in (offer, other)
    alone = await waiting(engine, 2, requires=frozenset({"kitchen"}))
    async with transaction(engine) as tx:
        waits = await add_need(tx, poster, people=3)
    before = figures(await whatif(coming(1)))
    assert (before["ask for a bed"], before["have one"]) == ((9, 10), (7, 8)), "the control: parties of no project"
    assert "in projects, counted apart" not in before
    project = await one(
        engine,
        """
        insert into project (id, organization_id, together_km, minimum, answer_hours, state)
        select gen_random_uuid(), :poster, 5, 7, 24, 'open' returning id
        """,
        poster=poster,
    )
    await rows(
        engine,
        "update need set project_id = :project where id = any(:needs)",
        project=project.id,
        needs=[held, waits],
    )
    found = figures(await whatif(coming(14), "--close", str(gym.site_id)))
    assert found["ask for a bed"] == (2, 16), "those who wait are placed by nobody"
    assert found["have one"] == (0, 10), "in the other hall, the party being in none of it"
    assert found["in projects, counted apart"] == (7, 7)
    assert found["keep the place they have"] == (4, 0)
    kept = figures(await whatif(coming(20)))
    assert kept["have one"] == (0, 16), "what they hold nobody else has"
    assert kept["keep the place they have"] == (4, 4)
    assert alone


async def contents(engine: AsyncEngine) -> dict[str, str]:
    """Every row of every table, and how far every sequence is."""
    found = {}
    for row in await rows(
        engine, "select oid::regclass::text as name from pg_class where relkind in ('r', 'S') and relnamespace = 2200"
    ):
        each = f"select row(t.*)::text as line from {row.name} t"
        everything = f"select md5(coalesce(string_agg(line, '|' order by line), '')) as md5 from ({each}) lines"
        found[row.name] = (await one(engine, everything)).md5
    return found


async def write_beside_the_picture(engine: AsyncEngine) -> None:
    async with snapshot(engine) as tx:
        await read_picture(tx, 7, 100)
        await tx.execute(text("update need set version = version + 1"))


async def test_nothing_is_written(whatif: Relais, engine: AsyncEngine, tmp_path: Path) -> None:
    town = await organization(engine)
    async with transaction(engine) as tx:
        await add_offer(tx, town, capacity=3)
        await add_gym(tx, town)
        await add_pledge(tx, town)
    await placed(engine, 2)
    before = await contents(engine)
    file = written(tmp_path, {"close": ["Gym"], "sites": [hall()], "arrivals": [{"people": 5, "town": BRIANCON.id}]})
    assert (await whatif(file)).exit_code == 2, "two sites are called Gym"
    site = (await one(engine, "select min(id::text) as id from site")).id
    assert figures(await whatif("--close", site, "--arrivals", f"5@{BRIANCON.id}"))["ask for a bed"] == (2, 7)
    assert await contents(engine) == before
    with pytest.raises(DBAPIError, match="read-only transaction"):
        await write_beside_the_picture(engine)


async def test_the_picture_is_drawn(whatif: Relais, engine: AsyncEngine, tmp_path: Path) -> None:
    town = await organization(engine)
    async with transaction(engine) as tx:
        await add_offer(tx, town, capacity=3)
    plot = tmp_path / "whatif.png"
    answer = await whatif("--arrivals", f"8@{BRIANCON.id}", "--plot", str(plot))
    assert answer.exit_code == 0, answer.output
    assert plot.read_bytes().startswith(b"\x89PNG")


async def test_the_file_of_the_page_is_understood(whatif: Relais, engine: AsyncEngine, tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs/whatif.md").read_text(), re.DOTALL)
    day = (TONIGHT + timedelta(days=30)).isoformat()
    ahead = re.sub(r"2026-12-31", day, re.sub(r"2026-12-01", TONIGHT.isoformat(), example))
    ahead = ahead.replace('"after_nights": 1', f'"after_nights": {nights_until_tonight()}')
    town = await organization(engine)
    async with transaction(engine) as tx:
        await add_offer(tx, town, site={"name": "Municipal gym"})
    found = figures(await whatif(written(tmp_path, ahead)))
    assert found["have one"] == (0, 28), "seven parties of four fit thirty beds"


def pact(town: PlaceRow, partner: PlaceRow, **changes: object) -> dict[str, object]:
    return {"town": town.id, "partner": partner.id, "to_partner_per_week": 10, **changes}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("{", "does not say what would change"),
        ({"closed": ["Gym"]}, "closed: Extra inputs are not permitted"),
        ({"close": ["Gymnase"]}, "No site is called “Gymnase”"),
        ({"sites": [{"name": "Hall", "town": BRIANCON.id, "offers": []}]}, "sites[0].offers"),
        ({"sites": [hall(town=1)]}, "sites[0].town: no town 1 is loaded"),
        ({"sites": [hall(provides=["gold"])]}, "sites[0].provides[0]"),
        ({"arrivals": [{"people": 0, "town": BRIANCON.id}]}, "arrivals[0].people"),
        ({"without_pledges": ["00000000-0000-0000-0000-000000000001"]}, "There is no open pledge"),
        ({"pacts": [pact(GAP, GAP)]}, "pacts[0].partner: a town makes no pact with itself"),
        ({"pacts": [pact(BRIANCON, OULX)]}, "pacts[0].crosses_border"),
        ({"pacts": [pact(BRIANCON, GAP, categories=["gold"])]}, "there is no help called “gold”"),
        ({"pacts": [pact(BRIANCON, GAP, to_partner_per_week=0)]}, "nobody either way"),
        ({"without_pacts": ["00000000-0000-0000-0000-000000000001"]}, "There is no pact"),
        ({}, "Nothing would change"),
    ],
)
async def test_a_wrong_question_is_told_in_words(whatif: Relais, tmp_path: Path, changes: object, told: str) -> None:
    answer = await whatif(written(tmp_path, changes))
    assert answer.exit_code == 2
    assert told in answer.stderr
    assert "Traceback" not in answer.output


async def test_a_number_without_a_town_is_told_in_words(whatif: Relais) -> None:
    answer = await whatif("--arrivals", "forty")
    assert (answer.exit_code, "as in 40@3030142" in answer.stderr) == (2, True)
