"""`relais sign-in`: an operator registers an issuer once it was seen to fit, and says whom it admits."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from db import issuers, keys, organizations
from db.connection import transaction
from db.issuers import MOST
from identity.registration import address_back
from matching.vocabulary import OrganizationKind
from tests.db.acts import one, rows
from tests.identity.issuing import SHARED, Issuing, Reply, issuing
from tests.relais.conftest import Relais
from tests.waiting import eventually

NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(loop_scope="function")
async def issuer() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "client-secret"
    file.write_text(f"{SHARED}\n")
    return str(file)


@pytest_asyncio.fixture(loop_scope="function")
async def hall(engine: AsyncEngine) -> str:
    async with transaction(engine) as tx:
        return str(await organizations.add(tx, OrganizationKind.MUNICIPALITY, "Mairie"))


async def added(relais: Relais, issuer: Issuing, secret: str, *more: str) -> str:
    words = ("--issuer", issuer.url, "--client-id", "relais", "--secret-file", secret, "--json", *more)
    result = await relais("sign-in", "add", "Portail", *words)
    assert result.exit_code == 0, result.output
    return str(json.loads(result.stdout)["id"])


async def test_an_issuer_is_registered_and_its_secret_shown_to_nobody(
    relais: Relais, issuer: Issuing, secret: str, hall: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAIS_PUBLIC_URL", "https://relais.example/console")
    words = ("--issuer", issuer.url, "--client-id", "relais", "--secret-file", secret, "--scope", "siret")
    told = await relais("sign-in", "add", "Portail des agents", *words)
    before = (await relais("sign-in", "back", issuer.url)).stdout.strip()
    assert before == address_back("https://relais.example", issuer.url)
    assert f"back  {before}\n" in told.stdout
    assert (await relais("sign-in", "back", f"{issuer.url}/other")).stdout.strip() != before
    assert (await relais("sign-in", "back", "http://issuer.example")).exit_code == 2
    row = await one(engine, "select i.*, cast(i.* as text) as row from issuer i")
    assert (row.name, row.url, row.scopes) == ("Portail des agents", issuer.url, ["siret"])
    assert (row.pkce, row.asks_again) == (True, True)
    admitted = await relais("sign-in", "admit", hall, str(row.id), "--claim", "siret=210=5", "--may", "confirm")
    assert admitted.exit_code == 0, admitted.output
    listed = await relais("sign-in", "list", "--json")
    (facts,) = json.loads(listed.stdout)
    (admission,) = facts["admissions"]
    assert (facts["name"], admission["claim"], admission["value"]) == ("Portail des agents", "siret", "210=5")
    assert set(admission["scopes"]) == {each.value for each in keys.ONLY_CONFIRMS}
    in_words = await relais("sign-in", "list")
    key_list = await relais("key", "list", hall)
    assert admission["prefix"] in key_list.stdout
    for shown in (told.output, admitted.output, listed.output, in_words.output, row.row):
        assert SHARED not in shown
    acts = await rows(engine, "select act, role, objects from audit_pending order by id")
    assert [(act.act, act.role, len(act.objects)) for act in acts] == [("relais sign-in admit", "operator", 1)]


async def test_what_does_not_fit_is_told_and_not_kept(
    relais: Relais, issuer: Issuing, secret: str, engine: AsyncEngine
) -> None:
    words = ("--client-id", "relais", "--secret-file", secret)
    document = "/.well-known/openid-configuration"
    gone, other = Reply("", "404 Not Found"), "https://elsewhere.example"
    for issuer.instead, issuer.document, told in (
        ({document: gone}, {}, "has no document"),
        ({}, {"issuer": other}, "that of another issuer"),
        ({}, {"token_endpoint": f"{other}/token"}, f"--also-at {other}"),
    ):
        result = await relais("sign-in", "add", "Portail", "--issuer", issuer.url, *words)
        assert result.exit_code == 1
        assert told in " ".join(result.stderr.split())
    assert await rows(engine, "select 1 from issuer") == []
    await added(relais, issuer, secret, "--also-at", "https://elsewhere.example")
    issuer.document = {"issuer": "another"}
    await added(relais, issuer, secret, "--unasked", "--client-id", "another", "--no-ask-again", "--no-pkce")
    (last,) = await rows(engine, "select pkce, asks_again from issuer order by created_at desc limit 1")
    assert (last.pkce, last.asks_again) == (False, False)


WRONG = (
    ("Portail", "http://issuer.example", "relais"),
    ("Portail", "https://user@issuer.example", "relais"),
    ("Portail", "https://issuer.example/?a", "relais"),
    ("Portail", "https://issuer.example", ""),
    ("", "https://issuer.example", "relais"),
    ("two\nlines", "https://issuer.example", "relais"),
    ("to the \N{RIGHT-TO-LEFT OVERRIDE}left", "https://issuer.example", "relais"),
    ("a" * 61, "https://issuer.example", "relais"),
)


async def test_what_cannot_be_is_refused_before_anybody_is_asked(
    relais: Relais, secret: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    for name, url, client in WRONG:
        words = ("--issuer", url, "--client-id", client, "--secret-file", secret, "--unasked")
        assert (await relais("sign-in", "add", name, *words)).exit_code == 2, (name, url, client)
    right = ("sign-in", "add", "Portail", "--issuer", "https://issuer.example", "--client-id", "relais", "--unasked")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for more in (
        ("--secret-file", str(empty)),
        ("--secret-file", str(tmp_path / "none")),
        ("--secret-file", secret, "--scope", "two words"),
        ("--secret-file", secret, "--also-at", "https://issuer.example/path"),
        ("--secret-file", secret, "--also-at", "http://issuer.example"),
        (),
    ):
        assert (await relais(*right, *more)).exit_code == 2, more
    assert await rows(engine, "select 1 from issuer") == []
    assert (await relais(*right, "--secret-file", secret)).exit_code == 0, "the control"


OF_A_PERSON = (
    *("email", "sub", "Preferred_Username", "name", "phone_number", "mail", "username", "user_name", "login"),
    *("displayName", "cn", "userPrincipalName", "emails", "employee_id", "employeeNumber", "sAMAccountName"),
    *("verified_primary_email", "https://town.example/email", "https://town.example/e-mail/", "urn:town:user-name"),
)


async def test_nobody_is_admitted_by_who_they_are(
    relais: Relais, issuer: Issuing, secret: str, hall: str, engine: AsyncEngine
) -> None:
    issuer_id = await added(relais, issuer, secret)
    for claim in (*(f"{name}=anna" for name in OF_A_PERSON), "groups=anna@town.example"):
        refused = await relais("sign-in", "admit", hall, issuer_id, "--claim", claim)
        assert refused.exit_code == 1, claim
        assert "of_a_person" in refused.stderr
        assert "anna" not in refused.stderr
    for wrong in (("--claim", "siret"), ("--claim", "siret="), ("--claim", "=1"), ("--claim", "a b=1")):
        assert (await relais("sign-in", "admit", hall, issuer_id, *wrong)).exit_code == 1, wrong
    assert (await relais("sign-in", "admit", hall, issuer_id)).exit_code == 2
    assert (await relais("sign-in", "admit", hall, issuer_id, "--claim", "siret=1", "--everybody")).exit_code == 2
    assert await rows(engine, "select 1 from api_key") == []
    for claim in ("siret=1", "https://town.example/groups=welcome", "organization_name=Gap"):
        assert (await relais("sign-in", "admit", hall, issuer_id, "--claim", claim)).exit_code == 0, "the control"
    assert (await relais("sign-in", "admit", hall, issuer_id, "--everybody")).exit_code == 0


async def test_what_stands_already_what_is_unknown_and_what_is_too_much_is_refused_in_words(
    relais: Relais, issuer: Issuing, secret: str, hall: str
) -> None:
    issuer_id = await added(relais, issuer, secret)
    admit = ("sign-in", "admit", hall, issuer_id, "--claim", "siret=1")
    assert (await relais(*admit)).exit_code == 0
    assert "stands already" in (await relais(*admit)).stderr
    for words in (
        ("sign-in", "admit", hall, NOBODYS, "--everybody"),
        ("sign-in", "admit", NOBODYS, issuer_id, "--everybody"),
        ("sign-in", "remove", NOBODYS),
        ("sign-in", "secret", NOBODYS, "--secret-file", secret),
    ):
        refused = await relais(*words)
        assert refused.exit_code == 1, words
        assert "no such organization, key or issuer" in " ".join(refused.stderr.split())
    more = ("--issuer", issuer.url, "--client-id", "relais", "--secret-file", secret, "--unasked")
    assert "registered with this client id" in (await relais("sign-in", "add", "Again", *more)).stderr
    for number in range(MOST - 1):
        await added(relais, issuer, secret, "--unasked", "--client-id", f"relais-{number}")
    full = await relais("sign-in", "add", "Portail", *more, "--client-id", "one-more")
    assert "as many issuers as it may" in full.stderr


async def test_a_removed_issuer_takes_its_keys_along_and_a_removed_admission_its_own(
    relais: Relais, issuer: Issuing, secret: str, hall: str, engine: AsyncEngine
) -> None:
    issuer_id = await added(relais, issuer, secret)
    ids = []
    for claim in ("siret=1", "siret=2", "siret=3"):
        told = await relais("sign-in", "admit", hall, issuer_id, "--claim", claim, "--json")
        ids.append(json.loads(told.stdout)["id"])
    live = "select count(*) as n from api_key where revoked_at is null"
    assert "1 admissions ended" in (await relais("sign-in", "remove", ids[0])).stdout
    assert (await one(engine, live)).n == 2
    assert "2 admissions ended" in (await relais("sign-in", "remove", issuer_id)).stdout
    assert (await one(engine, live)).n == 0
    assert await rows(engine, "select id from admission union select id from issuer") == []
    acts = await rows(engine, "select act from audit_pending where act = 'relais sign-in remove'")
    assert len(acts) == 3


async def test_an_admission_is_renewed_with_its_key_and_one_whose_key_was_revoked_is_not(
    relais: Relais, issuer: Issuing, secret: str, hall: str, engine: AsyncEngine
) -> None:
    issuer_id = await added(relais, issuer, secret)
    told = await relais("sign-in", "admit", hall, issuer_id, "--claim", "siret=1", "--days", "3", "--json")
    admitted = json.loads(told.stdout)

    async def days() -> float:
        row = await one(engine, "select extract(epoch from expires_at - now()) / 86400 as days from api_key")
        return float(row.days)

    for ends, renewed, holds in (("3 days", "30", 30), ("-9 days", "40", 40), ("90 days", "30", 90)):
        await rows(engine, f"update api_key set expires_at = now() + interval '{ends}'")
        assert (await relais("sign-in", "renew", admitted["id"], "--days", renewed)).exit_code == 0
        assert round(await days()) == holds
    (key,) = await rows(engine, "select id, prefix from api_key")
    assert key.prefix == admitted["prefix"]
    acts = await rows(engine, "select objects from audit_pending where act = 'relais sign-in renew'")
    assert [each.objects for each in acts] == [[key.id]] * 3
    assert (await relais("sign-in", "renew", NOBODYS)).exit_code == 1
    assert (await relais("key", "revoke", key.prefix)).exit_code == 0
    refused = await relais("sign-in", "renew", admitted["id"])
    assert refused.exit_code == 1
    assert "was revoked" in refused.stderr
    assert round(await days()) == 90


async def test_another_secret_is_kept_sealed(
    relais: Relais, issuer: Issuing, secret: str, hall: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    issuer_id = await added(relais, issuer, secret)
    for claim in ("siret=1", "siret=2"):
        assert (await relais("sign-in", "admit", hall, issuer_id, "--claim", claim)).exit_code == 0
    before = (await one(engine, "select secret from issuer")).secret
    newer = tmp_path / "newer"
    newer.write_text("newer")
    assert (await relais("sign-in", "secret", issuer_id, "--secret-file", str(newer))).exit_code == 0
    after = (await one(engine, "select secret from issuer")).secret
    assert before != after
    assert b"newer" not in after
    (act,) = await rows(engine, "select * from audit_pending where act = 'relais sign-in secret'")
    assert (str(act.organization_id), [str(each) for each in act.objects]) == (hall, [issuer_id])


async def test_whom_somebody_admits_while_the_issuer_is_removed_is_not_let_in(
    relais: Relais, issuer: Issuing, secret: str, hall: str, engine: AsyncEngine
) -> None:
    waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    issuer_id = UUID(await added(relais, issuer, secret))

    async def remove() -> int:
        async with transaction(engine) as tx:
            return len((await issuers.remove(tx, issuer_id)).keys)

    async def waits() -> bool:
        return await rows(engine, waiting) != []

    async with transaction(engine) as tx:
        await issuers.admit(tx, issuer_id, UUID(hall), ("siret", "1"))
        removing = asyncio.create_task(remove())
        await eventually(waits, "the removal waits")
    assert await removing == 1
    assert await rows(engine, "select 1 from api_key where revoked_at is null") == []
