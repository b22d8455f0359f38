"""Channels over HTTP: which addresses one may have, what is shown of them again, and where they never stand."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.keys import Scope
from matching.vocabulary import OrganizationKind
from tests.api.bodies import channel_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.stored import everything_stored
from tests.db.acts import one, rows

CHANNELS = "/v1/notifications/channels"
PRIVATE = "tgram://123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/987654321/"
QUIET = {"language": "fr", "timezone": "Europe/Paris", "quiet_from": "22:00", "quiet_until": "06:30"}


async def test_an_address_is_sealed_and_only_its_end_is_shown_again(
    municipality: Organization, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Idempotency-Key": "once"}
    added = await municipality.http.post(CHANNELS, json={"address": PRIVATE}, headers=headers)
    assert added.status_code == 201, added.text
    again = await municipality.http.post(CHANNELS, json={"address": PRIVATE}, headers=headers)
    assert again.text == added.text
    channel = added.json()
    assert (channel["kind"], channel["ends_with"], channel["happenings"]) == (
        "tgram",
        "321/",
        ["asked", "awaits", "confirmed", "expiring"],
    )
    read = await municipality.http.get(added.headers["Location"])
    listed = await municipality.http.get(CHANNELS)
    assert read.json() == listed.json()["items"][0]
    stored = str(await everything_stored(engine))
    for word in ("AAHdqTcv", "987654321", "tgram://"):
        for place in (added.text, read.text, listed.text, stored, caplog.text):
            assert word not in place


HOSTILE = (
    *("mailto://user:pass@example.org", "mailtos://example.org?smtp=10.0.0.1", "night@localhost", "night@127.0.0.1"),
    *("night@example.org\nBcc: x@example.org", "a@b@example.org", "night@example.org,x@example.org", "@example.org"),
    *("file:///etc/passwd", "exec://sh", "dbus://", "syslog://", "gnome://", "windows://", "macosx://"),
    *("rsyslog://h/x", "json://example.org/x", "jsons://example.org/x", "xml://example.org", "apprise://example.org/x"),
    *("ntfys://127.0.0.1/x", "ntfys://localhost/x", "ntfys://[::1]/x", "ntfys://0x7f000001/x", "mqtt://example.org/x"),
    *("ntfys://db.internal/x", "ntfys://example.org:22/x", "ntfys://user@example.org@127.0.0.1/x"),
    *("ntfys://example.org/x?verify=no", "tgram://bot/chat?template=/etc/passwd", "slack://a/b/c?redirect=yes"),
    *("vonage://key:secret/15551234567/15557654321", "clicksend://user:key@15557654321"),
    *("TGRAM://bot/chat", "tgram://bot/ch\u0430t", "tgram://bot/chat\n", "signals://example.org"),
    *("http://example.org/", "https://example.org/", "", "x", "x" * 501),
)


async def test_hostile_addresses_are_refused_and_not_told_back(municipality: Organization) -> None:
    for address in HOSTILE:
        answer = await municipality.http.post(CHANNELS, json={"address": address})
        assert answer.status_code == 422, address
        assert [each["at"] for each in answer.json()["errors"]] == ["/address"]
        assert len(address) < 3 or address not in answer.text


ALLOWED = {
    "night+1@town-hall.example.org": "mail",
    "twilio://AC0123:0123456789@+15551234567/+15557654321": "twilio",
    "matrixs://relais:secret@matrix.example.org/!room:example.org": "matrixs",
    "signals://signal.example.org:8443/+15551234567/+15557654321": "signals",
    "ntfy://ntfy:8080/night": "ntfy",
    "ntfys://ntfy.example.org/night": "ntfys",
}


async def test_addresses_of_services_that_are_allowed_are_taken(municipality: Organization) -> None:
    for address, kind in ALLOWED.items():
        answer = await municipality.http.post(CHANNELS, json={"address": address, "happenings": ["expiring"]})
        assert answer.status_code == 201, answer.text
        assert (answer.json()["kind"], answer.json()["happenings"]) == (kind, ["expiring"])


async def test_a_channel_is_paused_resumed_tried_and_removed(municipality: Organization, engine: AsyncEngine) -> None:
    channel = (await municipality.http.post(CHANNELS, json=channel_body())).json()
    path = f"{CHANNELS}/{channel['id']}"
    paused = await municipality.http.post(f"{path}/pause")
    assert (paused.json()["state"], paused.json()["reason"]) == ("paused", "asked")
    assert (await municipality.http.post(f"{path}/test")).status_code == 409
    resumed = await municipality.http.post(f"{path}/resume")
    assert (resumed.json()["state"], resumed.json()["version"]) == ("active", 3)
    for _ in range(2):
        tried = await municipality.http.post(f"{path}/test")
        assert (tried.status_code, tried.json()["testing"]) == (202, True)
    assert (await one(engine, "select count(*) as n from notice")).n == 1
    assert (await municipality.http.delete(path)).status_code == 204
    assert (await municipality.http.get(path)).status_code == 404
    assert await rows(engine, "select 1 from notice") == []


async def test_a_stranger_is_not_written_to_again_and_again_by_tests(
    municipality: Organization, engine: AsyncEngine
) -> None:
    channel = (await municipality.http.post(CHANNELS, json=channel_body())).json()
    path = f"{CHANNELS}/{channel['id']}/test"

    async def tried_again() -> int:
        await rows(engine, "update notice set state = 'told', settled_at = coalesce(settled_at, now())")
        return (await municipality.http.post(path)).status_code

    assert (await municipality.http.post(path)).status_code == 202
    assert [await tried_again(), await tried_again()] == [409, 409]
    refused = await municipality.http.post(path)
    assert "two minutes" in refused.json()["detail"]
    await rows(engine, "update notice set settled_at = now() - interval '2 minutes'")
    assert await tried_again() == 202
    assert (await one(engine, "select count(*) as n from notice")).n == 2


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ("night@example.org", "Night@Example.org", True),
        ("tgram://123:AAH/987/", "tgram://123:AAH/987", True),
        ("tgram://123:AAH/987", "tgram://123:AAh/987", False),
    ],
)
async def test_one_address_written_in_two_ways_is_one(
    municipality: Organization, first: str, second: str, *, known: bool
) -> None:
    assert (await municipality.http.post(CHANNELS, json=channel_body(address=first))).status_code == 201
    answer = await municipality.http.post(CHANNELS, json=channel_body(address=second))
    assert answer.status_code == (409 if known else 201)


async def test_nobody_is_told_twice_by_one_address_nor_by_more_than_twenty(municipality: Organization) -> None:
    for number in range(20):
        body = channel_body(address=f"night{number}@example.org")
        assert (await municipality.http.post(CHANNELS, json=body)).status_code == 201
    known = await municipality.http.post(CHANNELS, json=channel_body(address="night7@example.org"))
    more = await municipality.http.post(CHANNELS, json=channel_body())
    assert (known.status_code, more.status_code) == (409, 409)
    listed = (await municipality.http.get(CHANNELS)).json()["items"]
    assert len({UUID(each["id"]) for each in listed}) == 20


async def test_quiet_hours_and_language_are_chosen(municipality: Organization) -> None:
    before = (await municipality.http.get("/v1/notifications")).json()
    assert before["quiet_from"] is None
    assert before["language"] == "en"
    assert (await municipality.http.put("/v1/notifications", json=QUIET)).status_code == 428
    read = {"If-Match": '"1"'}
    chosen = await municipality.http.put("/v1/notifications", json=QUIET, headers=read)
    assert chosen.json() == QUIET | {"version": 2}
    assert (await municipality.http.get("/v1/notifications")).json() == chosen.json()
    assert (await municipality.http.put("/v1/notifications", json=QUIET, headers=read)).status_code == 412
    anyhow = {"If-Match": "*"}
    for wrong in ({"quiet_from": None}, {"quiet_until": "22:00"}, {"timezone": "Europe/Nowhere"}, {"language": "de"}):
        answer = await municipality.http.put("/v1/notifications", json=QUIET | wrong, headers=anyhow)
        assert answer.status_code == 422, wrong


async def test_a_key_without_the_scope_sees_and_changes_nothing(client: JoinNetwork) -> None:
    reader = await client(OrganizationKind.MUNICIPALITY, frozenset(Scope) - {Scope.NOTIFICATIONS_WRITE})
    for method, path in (("GET", "/v1/notifications"), ("GET", CHANNELS), ("POST", CHANNELS)):
        body = channel_body() if method == "POST" else None
        assert (await reader.http.request(method, path, json=body)).status_code == 403
