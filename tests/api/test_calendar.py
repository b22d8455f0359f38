"""The calendar: two libraries read what is true, over clock changes; a password opens it and nothing else."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from api.calendar import write
from api.settings import ApiSettings
from api.wording import LANGUAGES
from db import keys, shifts
from db.calendar import CalendarShift, Opening
from db.connection import transaction
from db.keys import MOST_LIVE, ONLY_CALENDAR, Scope
from db.shifts import NewShift
from matching.needs import Language
from matching.refusals import Conflict
from matching.states import OfferState, ShiftState
from matching.vocabulary import Level, OrganizationKind
from tests.api.bodies import offer_body, pledge_body, site_body
from tests.api.calendars import by_ical_js, by_icalendar
from tests.api.conftest import JoinNetwork, Organization
from tests.api.documented import operations
from tests.api.scenes import open_offer, post_need
from tests.builders import TONIGHT
from tests.db.acts import hold, rows
from tests.volunteers import add_gym

PATH = "/v1/calendar.ics"
NIGHT = timedelta(hours=13)


def opening(day: date, zone: str = "Europe/Paris", **changes: Any) -> Opening:
    """A night from 19:00 to 08:00 by the clocks of the place."""
    there = ZoneInfo(zone)
    evening = datetime(day.year, day.month, day.day, 19, tzinfo=there)
    morning = datetime(day.year, day.month, day.day, 8, tzinfo=there) + timedelta(days=1)
    values: dict[str, Any] = {
        "offer_id": uuid4(),
        "day": day,
        "category": "shelter",
        "language": None,
        "town": "Oulx",
        "site": None,
        "zone": there,
        "starts": evening.astimezone(UTC),
        "ends": morning.astimezone(UTC),
        "state": OfferState.OPEN,
        "shut": False,
        "offer_version": 1,
        "slot_version": 1,
        "changed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Opening(**values | changes)


def test_over_every_change_of_clocks_both_libraries_read_the_same_moments() -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(0, 700, 3)]
    changes = [date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25), date(2027, 3, 27)]
    zones = ("Europe/Paris", "Europe/London", "Africa/Casablanca", "America/St_Johns")
    nights = [opening(day, zone) for zone in zones for day in [*days, *changes]]
    written = write(uuid4(), "Municipality of Oulx", nights, [], "it")
    true = sorted((each.starts, each.ends) for each in nights)
    lengths = {each.ends - each.starts for each in nights}
    assert {NIGHT - timedelta(hours=1), NIGHT, NIGHT + timedelta(hours=1)} <= lengths, (
        "some nights have a change in them"
    )
    for read in (by_icalendar, by_ical_js):
        assert sorted((each.starts, each.ends) for each in read(written).values()) == true
    broken = written.replace(b"TZOFFSETTO:+0200", b"TZOFFSETTO:+0300")
    assert sorted((each.starts, each.ends) for each in by_ical_js(broken).values()) != true, "zones are read, not known"


def test_states_are_told_as_calendars_tell_them() -> None:
    nights = {
        "CONFIRMED": opening(TONIGHT),
        "TENTATIVE": opening(TONIGHT, state=OfferState.PAUSED),
        "CANCELLED": opening(TONIGHT, shut=True),
    }
    closed = opening(TONIGHT, state=OfferState.CLOSED)
    served = {
        state: CalendarShift(
            uuid4(), "night_watch", "Oulx", closed.zone, closed.starts, closed.ends, state, 3, closed.changed_at
        )
        for state in ShiftState
    }
    written = write(uuid4(), "Municipality of Oulx", [*nights.values(), closed], list(served.values()), "en")
    for read in (by_icalendar, by_ical_js):
        found = read(written)
        told = sorted(each.status for uid, each in found.items() if "Volunteers" not in each.summary)
        assert told == ["CANCELLED", "CANCELLED", "CONFIRMED", "TENTATIVE"]
        of_shifts = {state: found[str(each.id)].status for state, each in served.items()}
        assert of_shifts[ShiftState.PLANNED] == "TENTATIVE"
        assert of_shifts[ShiftState.DECLINED] == of_shifts[ShiftState.RELEASED] == "CANCELLED"
        assert of_shifts[ShiftState.CONFIRMED] == "CONFIRMED"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_speaks_every_language(language: str) -> None:
    taught = opening(TONIGHT, category="language_class", language=Language("fr", Level.A1))
    skills = ("night_watch", "welcome", "driving", "cooking", "care", "legal", "teaching:fr", "interpreting:ps")
    served = [
        CalendarShift(
            uuid4(), skill, "Oulx", taught.zone, taught.starts, taught.ends, ShiftState.PLANNED, 1, taught.changed_at
        )
        for skill in skills
    ]
    summaries = [each.summary for each in by_icalendar(write(uuid4(), "Oulx", [taught], served, language)).values()]
    assert len({*summaries}) == 1 + len(skills)
    assert not any("…" in each or "{" in each for each in summaries)


async def read(who: httpx.AsyncClient, **asked: Any) -> bytes:
    answer = await who.get(PATH, **asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    return answer.content


async def test_an_organization_sees_its_openings_class_and_shifts(
    municipality: Organization, association: Organization, coordination: Organization
) -> None:
    await open_offer(municipality)
    course: dict[str, Any] = {"category": "language_class", "opens": "18:00", "closes": "20:00", "rrule": "FREQ=WEEKLY"}
    await open_offer(municipality, **course, language={"teaches": "fr", "level": "A1"})
    showers: dict[str, Any] = {"category": "sanitation", "opens": "09:00", "closes": "12:00", "slot_minutes": 30}
    await open_offer(municipality, **showers)
    found = by_icalendar(await read(municipality.http))
    assert len(found) == 7 + 1 + 7, "half-hours of one morning are one opening"
    assert found == by_ical_js(await read(municipality.http))
    assert {each.summary for each in found.values()} == {
        "A place to sleep · Briançon",
        "Language class: French A1 · Briançon",
        "Washing and showers · Briançon",
    }
    for other in (association, coordination):
        assert by_icalendar(await read(other.http)) == {}


async def test_both_sides_of_a_shift_have_it_and_nobody_else(
    engine: AsyncEngine, municipality: Organization, association: Organization, coordination: Organization
) -> None:
    pledged = await association.http.post("/v1/pledges", json=pledge_body())
    async with transaction(engine) as tx:
        gym = await add_gym(tx, municipality.id)
    (night, *_) = await rows(engine, "select id, day, starts, ends from slot where offer_id = :id order by day", id=gym)
    async with transaction(engine) as tx:
        assert await shifts.plan(tx, [NewShift(UUID(pledged.json()["id"]), night.id, night.day, 2)]) == 1
    for who in (municipality, association):
        written = await read(who.http)
        (shift,) = [each for each in by_icalendar(written).values() if each.summary.startswith("Volunteers")]
        assert (shift.starts, shift.ends, shift.status) == (night.starts, night.ends, "TENTATIVE")
    assert by_icalendar(await read(coordination.http)) == {}
    (planned,) = (await association.http.get("/v1/shifts")).json()["items"]
    await association.http.post(f"/v1/shifts/{planned['id']}/decline", json={"reason": "other"})
    later = by_icalendar(await read(association.http))[planned["id"]]
    assert (later.status, later.sequence > shift.sequence) == ("CANCELLED", True)


async def test_a_change_keeps_the_id_and_raises_the_sequence(municipality: Organization) -> None:
    offer = await open_offer(municipality)
    first = by_icalendar(await read(municipality.http))
    slots = (await municipality.http.get(f"/v1/offers/{offer}/slots")).json()["items"]
    act = f"/v1/offers/{offer}/slots/{slots[0]['id']}"
    shut = await municipality.http.patch(act, json={"capacity": 0}, headers={"If-Match": "*"})
    assert shut.status_code == 200, shut.text
    second = by_icalendar(await read(municipality.http))
    changed = [uid for uid in first if first[uid] != second[uid]]
    assert [second[uid].status for uid in changed] == ["CANCELLED"]
    assert second[changed[0]].sequence > first[changed[0]].sequence
    hours = await municipality.http.patch(f"/v1/offers/{offer}", json={"opens": "20:00"}, headers={"If-Match": "*"})
    assert hours.status_code == 200, hours.text
    third = by_icalendar(await read(municipality.http))
    assert third.keys() == first.keys()
    assert all(third[uid].sequence > second[uid].sequence for uid in third)
    await municipality.http.post(f"/v1/offers/{offer}/close")
    assert {each.status for each in by_icalendar(await read(municipality.http)).values()} == {"CANCELLED"}


async def test_nothing_is_said_of_people_or_of_where_a_hidden_place_is(
    engine: AsyncEngine, association: Organization, coordination: Organization
) -> None:
    location = {"type": "Point", "coordinates": [6.6347, 44.8994]}
    for visibility in ("on_confirmation", "public"):
        site = site_body(name=f"Maison {visibility}", visibility=visibility, location=location)
        added = await association.http.post("/v1/sites", json=site)
        way = {"address": "3 impasse du Ruisseau"}
        path = f"/v1/sites/{added.json()['id']}"
        await association.http.put(f"{path}/address", json=way, headers={"If-Match": "*"})
        await association.http.post("/v1/offers", json=offer_body(added.json()["id"], capacity=77))
    before = await read(association.http)
    need = await post_need(coordination, people={"adults": 55})
    await hold(engine, UUID(need["id"]))
    assert await read(association.http) == before, "whoever comes, it is the same"
    written = before.decode()
    for word in ("Maison on_confirmation", "Ruisseau", "6.63", "44.89", "GEO"):
        assert word not in written, word
    assert not re.search(r"[: ]77\b", written), "how many it takes; an id may begin so"
    assert "Maison public" in written


async def calendar_key(engine: AsyncEngine, settings: ApiSettings, organization: Organization) -> str:
    """A key that reads the calendar."""
    async with transaction(engine) as tx:
        return (await keys.issue(tx, organization.id, settings.keys().of("api-key"), ONLY_CALENDAR)).text


async def test_a_calendars_key_is_a_password_there_and_nothing_anywhere_else(
    app: FastAPI, engine: AsyncEngine, api_settings: ApiSettings, association: Organization, anyone: httpx.AsyncClient
) -> None:
    await open_offer(association)
    key = await calendar_key(engine, api_settings, association)
    typed = httpx.BasicAuth("calendar", key)
    assert await read(anyone, auth=typed) == await read(association.http)
    assert await read(anyone, headers={"Authorization": f"Bearer {key}"}) == await read(association.http)
    for operation in operations(app):
        if not operation.protected or operation.path in (PATH, "/v1/me", "/v1/towns", "/v1/towns/{town_id}"):
            continue
        path = operation.path.replace("{slot_id}", "7").format_map(_Any())
        bearer = await anyone.request(operation.method, path, headers={"Authorization": f"Bearer {key}"})
        assert bearer.status_code in (403, 422), (operation, bearer.text)
        basic = await anyone.request(operation.method, path, auth=typed)
        assert basic.status_code == 401, (operation, basic.text)


class _Any(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return str(UUID(int=7))


async def test_a_key_that_can_do_more_is_no_password(
    association: Organization, client: JoinNetwork, anyone: httpx.AsyncClient
) -> None:
    assert (await anyone.get(PATH, auth=httpx.BasicAuth("", association.key))).status_code == 403
    reader = await client(OrganizationKind.ASSOCIATION, frozenset({Scope.OFFERS_READ}))
    assert (await reader.http.get(PATH)).status_code == 403


async def test_without_a_live_key_every_answer_is_the_same_and_asks_for_a_password(
    engine: AsyncEngine, api_settings: ApiSettings, association: Organization, anyone: httpx.AsyncClient
) -> None:
    revoked = await calendar_key(engine, api_settings, association)
    async with transaction(engine) as tx:
        await keys.revoke(tx, revoked.split("_")[1])
    shown: list[dict[str, str]] = [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic cmVsYWlz"},
        {"Authorization": "Digest x"},
        {"Authorization": f"Bearer {revoked}"},
    ]
    answers = [await anyone.get(PATH, headers=each) for each in shown]
    answers.append(await anyone.get(PATH, auth=httpx.BasicAuth("relais", revoked)))
    assert {(each.status_code, each.headers["www-authenticate"], each.content) for each in answers} == {
        (401, 'Basic realm="Relais", charset="UTF-8"', answers[0].content)
    }


async def test_calendars_keys_do_not_stand_in_the_way_of_the_others(
    engine: AsyncEngine, api_settings: ApiSettings, association: Organization
) -> None:
    for _ in range(MOST_LIVE):
        await calendar_key(engine, api_settings, association)
    with pytest.raises(Conflict):
        await calendar_key(engine, api_settings, association)
    hashing = api_settings.keys().of("api-key")
    async with transaction(engine) as tx:
        await keys.issue(tx, association.id, hashing)
    with pytest.raises(Conflict):
        async with transaction(engine) as tx:
            await keys.issue(tx, association.id, hashing)
