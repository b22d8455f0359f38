"""P3, protection: nothing that anybody may see depends on where in its cell a protected place lies, or on strangers.

The same evening is walked in houses of their own, with the same secrets. In the second every protected place lies
elsewhere in its cell under another address, and the parties of another organization are made of others. In the third
the fault is made on purpose, and a public place moved: what compares the first two must find it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.protection.houses import a_house
from tests.protection.journey import Journey
from tests.protection.telling import FIRST, SECOND, Telling, is_morning, until_tonight
from tests.protection.transcripts import Records, differences, normalised

WALKED_IN_REDIS = (13, 14, 15)
ENTITLED = ("neighbour", "host", "town hall")
"""Who posted the strangers' needs, or gave them a place: of those parties they see who they are."""


@dataclass(frozen=True)
class Runs:
    """What was seen in each house."""

    first: Records
    second: Records
    leaking: Records
    counted: bool
    """Whether there was a load to count at the hour of the test."""


@pytest.fixture(scope="module")
def runs(
    servers: Servers, secret_files: tuple[Path, Path], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """Three evenings, side by side."""
    now = datetime.now(UTC)
    days, rest = until_tonight(now)

    async def walk(corner: int, telling: Telling, steps: Callable[[Journey], Awaitable[None]]) -> Records:
        folder = tmp_path_factory.mktemp("house")
        async with a_house(servers, secret_files, template, folder, corner) as house:
            journey = Journey(house, telling)
            try:
                await journey.begin()
                await steps(journey)
                await journey.keep_what_is_left()
            finally:
                await journey.end()
        return dict(journey.recorder.seen)

    async def honestly(journey: Journey) -> None:
        await journey.walk_the_evening()
        await journey.look_around()
        await journey.wait_for_volunteers_and_a_round()
        await journey.look_at_the_loads(days)
        await journey.spend_the_night(rest)
        await journey.let_days_pass()

    async def leaking(journey: Journey) -> None:
        await journey.leak_exact_points()
        await journey.walk_the_evening()

    async def all_three() -> Runs:
        moved = replace(SECOND, public_corner=SECOND.corner)
        walks = ((FIRST, honestly), (SECOND, honestly), (moved, leaking))
        walking = [walk(corner, *each) for corner, each in zip(WALKED_IN_REDIS, walks, strict=True)]
        first, second, third = await asyncio.gather(*walking)
        return Runs(first, second, third, not is_morning(now))

    return asyncio.run(all_three())


def unauthorised(records: Records) -> Records:
    """All but what was told to those who may read a place; of strangers' parties only that they are there."""
    return {
        surface: [_masked(each) for each in seen] if surface.removeprefix("input of ").startswith(ENTITLED) else seen
        for surface, seen in records.items()
        if not surface.startswith("told to ")
    }


def _masked(seen: str) -> str:
    parties = re.sub(r'"(party|people)":\{[^{}]*\}|"requires":\[[^\]]*\]', "<party>", seen)
    parties = re.sub(r'"missing":"\w+"\},"sentence":"[^"]*"', "<what is required>", parties)
    return re.sub(r"\ncontent-length: \d+", "\ncontent-length: <of a party>", parties)


def of_the_evening(records: Records) -> Records:
    return {surface: seen for surface, seen in records.items() if surface.endswith(", evening")}


def text_of(records: Mapping[str, list[str]]) -> str:
    return "\n".join(line for seen in records.values() for line in seen)


def test_not_one_byte_of_what_anybody_may_see_differs(runs: Runs) -> None:
    found = differences(unauthorised(runs.first), unauthorised(runs.second))
    assert not found, "\n".join(f"== {surface}\n{how}" for surface, how in found.items())


def test_the_evening_had_all_that_it_is_to_prove_something_about(runs: Runs) -> None:
    seen = text_of(runs.first)
    for word in (
        *('"state":"unmet"', '"reason":"full"', '"way":"made_room"', '"way":"at_once"', '"reason":"address_not_yet"'),
        *('"term":"travel"', '"rule":"access"'),
        *('"next":"', "allocation.address_read", "shift.planned", "need.unmet", 'offer_id":null'),
        *('"visibility":"rendezvous"', "private_home", "worker.round", "relais:pace:slip:code", "POST /v1/slip/refuse"),
        *("BEGIN:VEVENT", '"type":"Polygon"', '"assured_date"', '"available":'),
    ):
        assert word in seen, word
    for term in ('"term":"association"', '"term":"town"'):
        assert (term in seen) is runs.counted, term
    assert runs.first["daily_figure (operator)"]
    assert runs.first["feedback_count (operator)"]


def test_no_word_of_a_secret_place_is_anywhere_but_where_it_was_told(runs: Runs) -> None:
    for records, telling in ((runs.first, FIRST), (runs.second, SECOND)):
        told = text_of({surface: seen for surface, seen in records.items() if surface.startswith("told to ")})
        assert telling.way in told, "who may read it, reads it"
        assert telling.meeting_point in told
        assert any(word in told for word in telling.secrets() if word[0].isdigit())
        # Without moments: one of many thousands has the digits of a place in it, by chance.
        rest = {surface: "\n".join(normalised(seen)) for surface, seen in unauthorised(records).items()}
        assert [(surface, word) for surface in rest for word in telling.secrets() if word in rest[surface]] == []


def test_who_may_read_a_place_sees_that_it_is_another(runs: Runs) -> None:
    found = differences(runs.first, runs.second)
    assert {"told to coordination, night", "told to owner, night", "told to people, night"} <= set(found)
    assert "told to coordination, evening" not in found, "the public place stayed where it was"


def test_who_gives_strangers_a_place_sees_who_they_are(runs: Runs) -> None:
    found = differences(runs.first, runs.second)
    assert {"host, looking", "neighbour, evening", "town hall, evening"} <= set(found)


def test_distances_from_exact_points_are_found_out(runs: Runs) -> None:
    found = differences(*(of_the_evening(unauthorised(each)) for each in (runs.first, runs.leaking)))
    assert "coordination, evening" in found
    assert "distance_km" in found["coordination, evening"]


def test_a_public_place_that_moved_as_little_is_found_out(runs: Runs) -> None:
    found = differences(of_the_evening(runs.first), of_the_evening(runs.leaking))
    assert "coordinates" in found["told to coordination, evening"]


def test_one_other_byte_on_any_surface_is_found_out(runs: Runs) -> None:
    for surface, lines in unauthorised(runs.first).items():
        if lines:
            assert set(differences({surface: lines}, {surface: [*lines[:-1], lines[-1] + "1"]})) == {surface}
