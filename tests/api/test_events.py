"""What changed since: pages that go on from a cursor, and what a key may hear of."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.keys import ONLY_CONFIRMS, Scope
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body
from tests.api.conftest import JoinNetwork, Organization
from tests.db.acts import rows
from tests.waiting import eventually

CHANGES = "/v1/changes"


async def changes(who: Organization, **query: str | int) -> dict[str, object]:
    answered = await who.http.get(CHANGES, params=query)
    assert answered.status_code == 200, answered.text
    body: dict[str, object] = answered.json()
    return body


async def heard(who: Organization, count: int, **query: str | int) -> dict[str, object]:
    """The same once so many events may be read: what runs in other databases of the server is waited for too."""

    async def enough() -> dict[str, object] | None:
        found = await changes(who, **query)
        return found if len(found["items"]) >= count else None  # type: ignore[arg-type]

    return await eventually(enough, f"{count} events")


async def post(who: Organization) -> UUID:
    answered = await who.http.post("/v1/needs", json=need_body())
    assert answered.status_code == 201, answered.text
    return UUID(answered.json()["id"])


async def test_changes_are_read_on_from_a_cursor(coordination: Organization) -> None:
    beginning = await changes(coordination, since="now")
    assert beginning["items"] == []
    posted = [str(await post(coordination)) for _ in range(3)]
    await heard(coordination, 3)
    first = await changes(coordination, since=str(beginning["next"]), limit=2)
    rest = await changes(coordination, since=str(first["next"]))
    again = await changes(coordination, since=str(first["next"]))
    assert [first["more"], rest["more"]] == [True, False]
    told = [*first["items"], *rest["items"]]  # type: ignore[misc]
    assert [each["object_id"] for each in told] == posted
    assert {each["kind"] for each in told} == {"need.posted"}
    assert len({each["id"] for each in told}) == 3
    assert again["items"] == rest["items"], "the same events under the same ids"
    nothing = await changes(coordination, since=str(rest["next"]))
    assert nothing["items"] == []
    whole = await changes(coordination)
    assert whole["items"] == told


async def test_an_act_of_two_is_told_to_both_and_to_nobody_else(
    client: JoinNetwork, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    stranger = await client(OrganizationKind.MUNICIPALITY)
    thing = UUID(int=77)
    await rows(
        engine,
        "insert into event (kind, object_id, organizations)"
        " values ('allocation.held', :thing, array[cast(:one as uuid), cast(:other as uuid)])",
        thing=thing,
        one=coordination.id,
        other=association.id,
    )
    ours, theirs = (await heard(coordination, 1))["items"], (await heard(association, 1))["items"]
    assert ours == theirs
    assert [each["object_id"] for each in ours] == [str(thing)]  # type: ignore[attr-defined]
    assert (await changes(stranger))["items"] == []


async def test_a_key_hears_of_what_it_may_read(client: JoinNetwork, engine: AsyncEngine) -> None:
    kind = OrganizationKind.ASSOCIATION
    for scopes, heard_of in (
        (frozenset({Scope.NEEDS_READ}), {"need.posted"}),
        (frozenset({Scope.OFFERS_READ}), {"site.added", "offer.opened", "pledge.posted", "shift.planned"}),
        (ONLY_CONFIRMS, {"allocation.held"}),
    ):
        who = await client(kind, scopes)
        everything = ("need.posted", "site.added", "offer.opened", "pledge.posted", "shift.planned", "allocation.held")
        for each in everything:
            await rows(
                engine,
                "insert into event (kind, object_id, organizations)"
                " values (:kind, gen_random_uuid(), array[cast(:id as uuid)])",
                kind=each,
                id=who.id,
            )
        assert {each["kind"] for each in (await heard(who, len(heard_of)))["items"]} == heard_of  # type: ignore[attr-defined]
    writes_alone = await client(kind, frozenset({Scope.NEEDS_WRITE}))
    for path in (CHANGES, "/v1/events"):
        assert (await writes_alone.http.get(path)).status_code == 403


@pytest.mark.parametrize("header", [False, True])
async def test_a_cursor_opens_for_its_organization_alone(
    coordination: Organization, association: Organization, *, header: bool
) -> None:
    theirs = str((await changes(association, since="now"))["next"])
    forged = theirs[:-1] + ("A" if theirs[-1] != "A" else "B")

    async def ask(cursor: str) -> httpx.Response:
        if header:
            return await coordination.http.get("/v1/events", headers={"Last-Event-ID": cursor})
        return await coordination.http.get(CHANGES, params={"since": cursor})

    answers = [await ask(each) for each in (theirs, forged, "x", "A" * 48)]
    assert {each.status_code for each in answers} == {422}
    (flaw,) = answers[0].json()["errors"]
    assert (flaw["at"], flaw["code"]) == (
        ("Last-Event-ID", "not_an_event_id") if header else ("?since", "not_a_cursor")
    )
    assert len({each.content for each in answers}) == 1, "whose it is, or whether it was ever given, is not told"


async def test_who_comes_back_too_late_is_told_to_look_anew(coordination: Organization, engine: AsyncEngine) -> None:
    old = str((await changes(coordination, since="now"))["next"])
    await rows(engine, "update feed_mark set transaction = '4000000000' where name = 'purged'")
    answered = await coordination.http.get(CHANGES, params={"since": old}, headers={"Accept-Language": "fr"})
    assert answered.status_code == 410
    assert answered.json()["type"] == "/problems/feed-broken"
    assert "relisez" in answered.json()["detail"]
    assert (await changes(coordination))["items"] == []
