"""Webhooks over HTTP: who may have one, what is shown and what is kept of it, and what waits for it."""

import re
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import ApiSettings
from db import keys
from db.connection import transaction
from db.happenings import KINDS
from db.keys import Scope
from db.webhooks import MOST_EACH, MOST_SECRETS
from matching.vocabulary import OrganizationKind
from tests.api.bodies import webhook_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.stored import everything_stored
from tests.conftest import ROOT
from tests.db.acts import rows
from tests.worker.hostile import hostile_urls

PATH = "/v1/webhooks"
URL = "https://hooks.example.org/relais?token=Zm9vYmFy"


async def made(who: Organization, **body: object) -> dict[str, object]:
    answered = await who.http.post(PATH, json=webhook_body(**body))
    assert answered.status_code == 201, answered.text
    told: dict[str, object] = answered.json()
    return told


async def undelivered(engine: AsyncEngine, hook: object, state: str) -> str:
    event = uuid4()
    await rows(
        engine,
        "insert into webhook_delivery (webhook_id, event_id, kind, object_id, at, state, attempts, failures, answered,"
        " trouble) values (:hook, :event, 'need.posted', :event, now(), :state, 10, 10, 500, 'refused')",
        hook=hook,
        event=event,
        state=state,
    )
    return str(event)


async def test_a_webhook_is_made_shown_listed_and_removed(municipality: Organization) -> None:
    answered = await municipality.http.post(PATH, json={"url": URL, "kinds": ["offer", "need.posted"]})
    assert answered.status_code == 201
    hook = answered.json()
    assert answered.headers["location"] == f"{PATH}/{hook['id']}"
    assert answered.headers["etag"] == '"1"'
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", hook.pop("secret"))
    assert (hook["url"], hook["kinds"], hook["state"]) == (URL, ["need.posted", "offer"], "active")
    assert (await municipality.http.get(f"{PATH}/{hook['id']}")).json() == hook, "the secret is shown once"
    assert (await municipality.http.get(PATH)).json() == {"items": [hook], "next": None}
    assert (await municipality.http.delete(f"{PATH}/{hook['id']}")).status_code == 204
    assert (await municipality.http.delete(f"{PATH}/{hook['id']}")).status_code == 404
    assert (await municipality.http.get(PATH)).json()["items"] == []


async def test_neither_address_nor_secret_is_stored_and_a_repeated_request_shows_them_again(
    municipality: Organization, engine: AsyncEngine
) -> None:
    once = {"Idempotency-Key": "hook-1"}
    first = await municipality.http.post(PATH, json={"url": URL}, headers=once)
    again = await municipality.http.post(PATH, json={"url": URL}, headers=once)
    assert first.content == again.content
    assert first.headers["etag"] == again.headers["etag"]
    hook = first.json()
    turned = {"Idempotency-Key": "turn-1"}
    rotated = [await municipality.http.post(f"{PATH}/{hook['id']}/rotate", headers=turned) for _ in range(2)]
    assert rotated[0].content == rotated[1].content
    assert rotated[0].json()["secret"] != hook["secret"]
    stored = await everything_stored(engine)
    whole = str([await rows(engine, f"select to_jsonb(r) as row from {table} r") for table in stored])
    assert hook["id"] in whole
    written_raw = str([await rows(engine, "select encode(body, 'escape') as body, headers from idempotency")])
    for word in ("hooks.example.org", "Zm9vYmFy", hook["secret"][6:], rotated[0].json()["secret"][6:]):
        assert word not in whole
        assert word not in written_raw


async def test_a_webhook_hears_of_what_the_key_that_made_it_may_read(client: JoinNetwork) -> None:
    scopes = frozenset({Scope.WEBHOOKS_WRITE, Scope.OFFERS_READ})
    who = await client(OrganizationKind.ASSOCIATION, scopes)
    assert (await made(who))["objects"] == ["offer", "pledge", "practice", "shift", "site", "webhook"]
    deaf = await who.http.post(PATH, json=webhook_body(kinds=["offer", "need.posted"]))
    assert [(each["at"], each["code"]) for each in deaf.json()["errors"]] == [
        ("/kinds/1", "not_readable_with_this_key")
    ]
    reads = await client(OrganizationKind.ASSOCIATION, frozenset({Scope.OFFERS_READ, Scope.OFFERS_WRITE}))
    for asked in (reads.http.get(PATH), reads.http.post(PATH, json=webhook_body())):
        assert (await asked).status_code == 403


async def test_no_hostile_address_is_taken_unless_it_is_a_name_whose_owner_decides_later(
    municipality: Organization, engine: AsyncEngine
) -> None:
    named = re.compile(r"https://[a-z0-9.-]+\.(example\.org|localdomain|lan):8443/relais")
    tried = 0
    for url in hostile_urls(8443):
        if not named.fullmatch(url):
            answered = await municipality.http.post(PATH, json={"url": url})
            assert answered.status_code == 422, url
            assert not url or url not in answered.text, "what was sent is not repeated"
            tried += 1
    assert tried > 400
    assert await rows(engine, "select id from webhook") == []


@pytest.mark.parametrize(
    ("url", "language", "code", "word"),
    [
        ("http://hooks.example.org/", "en", "webhook_needs_https", "https://"),
        ("https://10.0.0.1/", "fr", "webhook_needs_a_public_name", "un nom public"),
        ("https://hooks.local/", "it", "webhook_needs_a_public_name", "rete locale"),
        ("https://HOOKS.example.org/", "es", "webhook_needs_a_public_name", "minúsculas"),
        ("https://me:word@hooks.example.org/", "fr", "webhook_names_a_user", "mot de passe"),
        ("https://hooks.example.org:22/", "en", "webhook_port_not_allowed", "443"),
        ("https://hooks.example.org:65536/", "ar", "webhook_port_not_allowed", "65535"),
        ("https://hooks.example.org/relais#here", "en", "not_a_webhook_address", "#"),
    ],
)
async def test_why_an_address_is_not_taken_is_told_in_words(
    municipality: Organization, url: str, language: str, code: str, word: str
) -> None:
    told = await municipality.http.post(PATH, json={"url": url}, headers={"Accept-Language": language})
    (flaw,) = told.json()["errors"]
    assert (flaw["at"], flaw["code"]) == ("/url", code)
    assert word in flaw["message"]


async def test_kinds_are_those_of_the_page_of_events(municipality: Organization) -> None:
    page = (ROOT / "docs" / "events.md").read_text().partition("## The kinds")[2]
    told = {
        kind
        for line in page.splitlines()
        if line.startswith("| `")
        for kind in re.findall(r"`([a-z_]+\.[a-z_]+)`", line.split("|")[1])
    }
    assert set(KINDS) == told - {"policy.changed", "slip.place_shown"}
    assert (await made(municipality, kinds=list(KINDS)))["kinds"] == sorted(KINDS)
    refused = await municipality.http.post(PATH, json=webhook_body(kinds=["need.forgotten"]))
    assert [(each["at"], each["code"]) for each in refused.json()["errors"]] == [("/kinds/0", "not_one_of")]


async def test_a_key_that_reads_less_than_a_webhook_hears_gets_no_secret_of_it(
    municipality: Organization, anyone: httpx.AsyncClient, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    broad = await made(municipality)
    scopes = frozenset({Scope.WEBHOOKS_WRITE, Scope.OFFERS_READ})
    async with transaction(engine) as tx:
        narrow = await keys.issue(tx, municipality.id, api_settings.keys().of("api-key"), scopes)
    asking = {"Authorization": f"Bearer {narrow.text}"}
    refused = await anyone.post(f"{PATH}/{broad['id']}/rotate", headers=asking)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert (await rows(engine, "select generation from webhook"))[0].generation == 1
    own = (await anyone.post(PATH, json=webhook_body(), headers=asking)).json()
    assert (await anyone.post(f"{PATH}/{own['id']}/rotate", headers=asking)).status_code == 200


async def test_no_more_secrets_than_a_signature_has_room_for(municipality: Organization) -> None:
    path = f"{PATH}/{(await made(municipality))['id']}/rotate"
    for _ in range(MOST_SECRETS - 1):
        assert (await municipality.http.post(path)).status_code == 200
    refused = await municipality.http.post(path)
    assert (refused.status_code, refused.json()["reason"]) == (409, "too_many_secrets")


async def test_an_organization_has_so_many_and_no_more(municipality: Organization) -> None:
    for _ in range(MOST_EACH):
        await made(municipality)
    refused = await municipality.http.post(PATH, json=webhook_body())
    assert (refused.status_code, refused.json()["reason"]) == (409, "too_many_webhooks")
    assert "20" in refused.json()["detail"]


async def test_what_was_not_taken_is_seen_and_tried_again(municipality: Organization, engine: AsyncEngine) -> None:
    hook = (await made(municipality))["id"]
    parked = [await undelivered(engine, hook, "parked") for _ in range(3)]
    waits = await undelivered(engine, hook, "waiting")
    shown = (await municipality.http.get(f"{PATH}/{hook}/deliveries", params={"state": "parked"})).json()["items"]
    assert sorted(each["id"] for each in shown) == sorted(parked)
    assert {(each["state"], each["attempts"], each["answered"], each["trouble"], each["try_at"]) for each in shown} == {
        ("parked", 10, 500, "refused", None)
    }
    counted = (await municipality.http.get(f"{PATH}/{hook}")).json()
    assert (counted["waiting"], counted["parked"]) == (1, 3)
    one_again = await municipality.http.post(f"{PATH}/{hook}/deliveries/{parked[0]}/replay")
    assert (one_again.status_code, one_again.json()["waiting"], one_again.json()["parked"]) == (202, 2, 2)
    never = await municipality.http.post(f"{PATH}/{hook}/deliveries/{uuid4()}/replay")
    assert never.status_code == 404
    unchanged = await municipality.http.post(f"{PATH}/{hook}/deliveries/{waits}/replay")
    assert (unchanged.status_code, unchanged.json()["parked"]) == (202, 2)
    rest = await municipality.http.post(f"{PATH}/{hook}/replay")
    assert (rest.json()["waiting"], rest.json()["parked"]) == (4, 0)
    pages, cursor = [], None
    while True:
        page = await municipality.http.get(
            f"{PATH}/{hook}/deliveries", params={"limit": 3} | ({"cursor": cursor} if cursor else {})
        )
        pages.append([UUID(each["id"]) for each in page.json()["items"]])
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert [len(each) for each in pages] == [3, 1]


async def test_a_disabled_webhook_is_sent_nothing_until_it_is_enabled(
    municipality: Organization, engine: AsyncEngine
) -> None:
    hook = (await made(municipality))["id"]
    gone = "state = 'disabled', reason = 'failing', disabled_at = now(), failures = 10, failing_since = now()"
    await rows(engine, f"update webhook set {gone}")
    for act in ("test", "replay"):
        refused = await municipality.http.post(f"{PATH}/{hook}/{act}", headers={"Accept-Language": "it"})
        assert (refused.status_code, refused.json()["reason"]) == (409, "webhook_disabled")
        assert "disattivato" in refused.json()["detail"]
    enabled = await municipality.http.post(f"{PATH}/{hook}/enable")
    told = enabled.json()
    assert (told["state"], told["reason"], told["disabled_at"], told["failing_since"]) == ("active", None, None, None)
    assert enabled.headers["etag"] == '"2"'
    for _ in range(2):
        tested = await municipality.http.post(f"{PATH}/{hook}/test")
        assert (tested.status_code, tested.json()["waiting"]) == (202, 1), "one test at a time"


async def test_to_others_it_is_missing(
    municipality: Organization, association: Organization, anyone: httpx.AsyncClient
) -> None:
    hook = (await made(municipality))["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"), ("GET", "/deliveries")):
        assert (await association.http.request(method, f"{PATH}/{hook}{path}")).status_code == 404
        assert (await anyone.request(method, f"{PATH}/{hook}{path}")).status_code == 401
