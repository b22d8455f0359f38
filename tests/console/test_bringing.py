"""A spreadsheet brought in by a page: seen first, then all or nothing, and what is guarded in it shown nowhere."""

import asyncio
import os
import random
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.console.bringing import MOST_BYTES, MOST_ROWS
from api.console.parts import Part, parts_of
from api.console.sealing import opened, sealed
from api.wording import LANGUAGES, catalogue, say
from db.keys import Scope
from importing.offers import Offers
from importing.pledges import Pledges
from importing.sentences import SENTENCES
from importing.sites import Sites
from tests.api.conftest import Organization
from tests.api.stored import everything_stored, holds
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import rows
from tests.places import OULX
from tests.relais.bringing import (
    FRENCH,
    GUARDED,
    GYM,
    HOME,
    NIGHTS,
    OFFER_HEADERS,
    PLEDGE_HEADERS,
    STREET,
    WATCH,
)

PAGE = "/console/import"
NAMES = """
    insert into town_name (town_id, folded, name)
    select id, lower(replace(name, 'ç', 'c')), name from town on conflict do nothing
"""
OTHER_GYM = ("Salle des fêtes", *GYM[1:])


def csv_of(*lines: tuple[object, ...]) -> bytes:
    return "\r\n".join(";".join(map(str, line)) for line in lines).encode()


def book_of(*lines: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.worksheets[0].append(list(line))
    written = BytesIO()
    book.save(written)
    return written.getvalue()


def unguarded(shown: Shown) -> Shown:
    """A page with nothing that is guarded on it; what is sealed may have the letters of any short word by chance."""
    sealed_in_it = {value for form in shown.forms for name, value in form.fields if name == "sheet" and value}
    text = shown.answer.text
    for each in sealed_in_it:
        text = text.replace(each, "")
    assert [guarded for guarded in GUARDED if guarded in text] == []
    return shown


class Desk:
    """A browser that is signed in, at the page."""

    def __init__(self, browser: Browser, token: str) -> None:
        self.browser, self.token = browser, token

    async def look(self, kind: str, content: bytes, status: int = 200, name: str = "x.csv") -> Shown:
        """Choose a file and look at what would come of it; nothing that is guarded is on the page."""
        sent = {"token": self.token, "kind": kind}
        answer = await self.browser.http.post(PAGE, data=sent, files={"file": (name, content)})
        assert answer.status_code == status, answer.text
        return unguarded(Shown(answer))

    async def bring(self, shown: Shown, status: int = 200, **changes: str) -> Shown:
        """Bring in what a page tells to be new."""
        (form,) = [form for form in shown.forms if form.action == PAGE and ("bring", "1") in form.fields]
        answer = await self.browser.http.post(PAGE, data=dict(form.fields) | changes)
        assert answer.status_code == status, answer.text
        return unguarded(Shown(answer))


def may_bring(shown: Shown) -> bool:
    return any(("bring", "1") in form.fields for form in shown.forms)


@pytest.fixture
async def desk(enter: Enter, municipality: Organization, engine: AsyncEngine) -> Desk:
    await rows(engine, NAMES)
    browser = await enter(municipality.key)
    return Desk(browser, dict((await browser.read(PAGE)).form(PAGE).fields)["token"])


async def test_all_of_it_is_seen_first_then_brought_in_and_twice_makes_nothing(
    desk: Desk, municipality: Organization, engine: AsyncEngine
) -> None:
    seen = await desk.look("sites", csv_of(FRENCH, GYM, HOME))
    assert say("console.import.counts", "en", new=2, there=0, differing=0, wrong=0) in seen.words
    assert await rows(engine, "select 1 from site") == []
    done = await asyncio.gather(desk.bring(seen), desk.bring(seen))
    assert [each.answer.url.path for each in done] == ["/console/houses"] * 2
    sites = (await municipality.http.get("/v1/sites")).json()["items"]
    assert {(site["name"], site["has_address"]) for site in sites} == {
        ("Gymnase du Prorel", True),
        ("Chez l'habitant", False),
    }
    again = await desk.look("sites", book_of(FRENCH, GYM, HOME), name="x.xlsx")
    assert say("console.import.counts", "en", new=0, there=2, differing=0, wrong=0) in again.words
    assert not may_bring(again)
    other = await desk.look("sites", csv_of(FRENCH, (*GYM[:7], "douches", "")))
    assert say("console.import.differing", "en") in other.words
    await desk.bring(await desk.look("offers", csv_of(OFFER_HEADERS, NIGHTS)))
    (offer,) = (await municipality.http.get("/v1/offers")).json()["items"]
    assert (offer["capacity"], offer["audience"], offer["opens"]) == (30, ["families", "women"], "20:00")
    pledged = await desk.bring(await desk.look("pledges", csv_of(PLEDGE_HEADERS, WATCH)))
    assert pledged.answer.url.path == "/console/volunteers"
    (pledge,) = (await municipality.http.get("/v1/pledges")).json()["items"]
    assert (pledge["town"], pledge["rrule"]) == (OULX.id, "FREQ=WEEKLY;BYDAY=FR,SA,SU")
    acts = await rows(engine, "select act, objects from audit_pending where act like '%import%'")
    assert [len(row.objects) for row in acts] == [2, 1, 1]


async def test_two_who_bring_in_the_same_file_make_it_once(desk: Desk, engine: AsyncEngine) -> None:
    both = [await desk.look("sites", csv_of(FRENCH, GYM)) for _ in range(2)]
    await asyncio.gather(*map(desk.bring, both))
    assert len(await rows(engine, "select 1 from site")) == 1


async def test_one_row_that_is_wrong_keeps_all_of_it_out_and_is_told_without_what_stands_there(
    desk: Desk, engine: AsyncEngine
) -> None:
    planted = "Mariam-Haidari"
    wrong = (planted, "Briançon", planted, planted, GYM[4], STREET, "", planted, planted)
    shown = await desk.look("sites", csv_of(FRENCH, GYM, wrong), 422)
    assert not may_bring(shown)
    assert say("console.import.row", "en", row=3) in shown.words
    assert "Longitude: " in shown.words
    assert planted not in shown.answer.text
    # What was right when it was looked at, and is not any more.
    seen = await desk.look("sites", csv_of(FRENCH, GYM, OTHER_GYM))
    await rows(engine, "delete from town_name where folded like 'brian%'")
    late = await desk.bring(seen, 422)
    assert say("flaw.town_not_found", "en") in late.words
    assert await rows(engine, "select 1 from site") == []
    assert holds(await everything_stored(engine), planted) == []
    # The control: the same page brings them in once it is right again.
    await rows(engine, NAMES)
    await desk.bring(seen)
    assert len(await rows(engine, "select 1 from site")) == 2


async def test_columns_are_said_where_they_are_not_guessed(desk: Desk, municipality: Organization) -> None:
    strange = ("Dénomination officielle", *FRENCH[1:])
    shown = await desk.look("sites", csv_of(strange, GYM), 422)
    assert say("console.import.columns", "en") in shown.words
    (picking,) = [form for form in shown.forms if form.action == PAGE]
    assert ("column_town", "1") in picking.fields
    picked = {name: value for name, value in picking.fields if name != "column_name"} | {"column_name": "0"}
    answer = await desk.browser.http.post(PAGE, data=picked)
    assert answer.status_code == 200, answer.text
    await desk.bring(Shown(answer))
    (site,) = (await municipality.http.get("/v1/sites")).json()["items"]
    assert site["name"] == "Gymnase du Prorel"
    # Text about people is not taken in, whatever it is said to be.
    refused = await desk.browser.http.post(PAGE, data=picked | {"column_name": str(FRENCH.index("Remarques"))})
    assert refused.status_code == 422


def picking_of(shown: Shown) -> dict[str, str]:
    """What is chosen where columns are said."""
    (form,) = [form for form in shown.forms if form.action == PAGE and ("bring", "1") not in form.fields]
    return dict(form.fields)


async def test_a_column_that_is_taken_out_stays_out(desk: Desk, municipality: Organization) -> None:
    alone = (*GYM[:6], "", *GYM[7:])
    shown = await desk.look("sites", csv_of(FRENCH, alone, (*OTHER_GYM[:6], "", *OTHER_GYM[7:])))
    assert picking_of(shown)["column_address"] == str(FRENCH.index("Adresse"))
    answer = await desk.browser.http.post(PAGE, data=picking_of(shown) | {"column_address": ""})
    without = Shown(answer)
    assert picking_of(without)["column_address"] == ""
    await desk.bring(without)
    sites = (await municipality.http.get("/v1/sites")).json()["items"]
    assert [site["has_address"] for site in sites] == [False, False]
    # The control: who leaves it where it was guessed seals it.
    await desk.bring(await desk.look("sites", csv_of(FRENCH, ("Third", *alone[1:]))))
    sites = (await municipality.http.get("/v1/sites")).json()["items"]
    assert [site["has_address"] for site in sites] == [False, False, True]


async def test_columns_of_one_name_and_of_none_can_be_chosen(desk: Desk, municipality: Organization) -> None:
    doubled = ("Nom", *FRENCH)
    shown = await desk.look("sites", csv_of(doubled, ("wrong", *GYM)), 422)
    assert ("p", {"class": "wrong", "id": "wrong-name"}) in shown.elements
    (select,) = [held for tag, held in shown.elements if tag == "select" and held["id"] == "column_name"]
    assert (select["aria-invalid"], select["aria-describedby"]) == ("true", "wrong-name")
    assert "Nom (A)" in shown.words
    assert "Nom (B)" in shown.words
    answer = await desk.browser.http.post(PAGE, data=picking_of(shown) | {"column_name": "1"})
    await desk.bring(Shown(answer))
    nameless = await desk.look("sites", csv_of(("", *FRENCH[1:]), OTHER_GYM), 422)
    assert "(A)" in nameless.words
    answer = await desk.browser.http.post(PAGE, data=picking_of(nameless) | {"column_name": "0"})
    await desk.bring(Shown(answer))
    sites = (await municipality.http.get("/v1/sites")).json()["items"]
    assert [site["name"] for site in sites] == [GYM[0], OTHER_GYM[0]]


async def test_a_house_that_is_met_elsewhere_comes_in_with_its_meeting_point_alone(
    desk: Desk, engine: AsyncEngine
) -> None:
    headers = (*FRENCH, "Visibilité")
    for row in ((*GYM[:6], "", *GYM[7:], "rendez-vous"), (*GYM[:5], "", "", *GYM[7:], "rendez-vous")):
        refused = await desk.look("sites", csv_of(headers, row), 422)
        assert f"Point de rencontre: {say('flaw.required', 'en')}" in refused.words
    await desk.bring(await desk.look("sites", csv_of(headers, (*GYM, "rendez-vous"))))
    assert [row.visibility for row in await rows(engine, "select visibility from site")] == ["rendezvous"]


async def test_all_are_counted_and_what_is_not_shown_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.console.bringing._SHOWN", 2)
    gyms = [(f"Gym {letter}", *GYM[1:]) for letter in "abcdef"]
    await desk.bring(await desk.look("sites", csv_of(FRENCH, *gyms[:3])))
    others = [(*gym[:7], "douches", "") for gym in gyms[:3]]
    shown = await desk.look("sites", csv_of(FRENCH, *others, *gyms[3:]))
    assert say("console.import.counts", "en", new=3, there=0, differing=3, wrong=0) in shown.words
    assert shown.words.count(say("console.import.more", "en", count=1)) == 2
    exact = await desk.look("sites", csv_of(FRENCH, *others[:2], *gyms[3:5]))
    assert say("console.import.more", "en", count=1) not in exact.words


async def test_what_is_no_spreadsheet_or_too_much_for_a_page_is_refused_in_words(desk: Desk) -> None:
    many = [(f"Gym {number}", *GYM[1:]) for number in range(MOST_ROWS + 1)]
    tried: list[tuple[bytes, str, str]] = [
        (b"", "x.csv", "no_file"),
        (b"x", "x.pdf", "kind"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "x.xlsx", "old"),
        (b"PK nothing", "x.xlsx", "unreadable"),
        (b'a,"b', "x.csv", "unreadable"),
        (b"\r\n", "x.csv", "empty"),
        (csv_of(FRENCH, *many), "x.csv", "large"),
        (book_of(FRENCH, (*GYM[:8], "a" * 32_000), *(("a" * 32_000,) for _ in range(200))), "x.xlsx", "large"),
        (b"a" * (MOST_BYTES + 1), "x.csv", "large_file"),
    ]
    for content, name, code in tried:
        shown = await desk.look("sites", content, 422, name)
        assert say(f"console.import.{code}", "en", rows=MOST_ROWS) in shown.words, code
    # What the file was said to be is not asked anew.
    kept = await desk.look("offers", b"a" * (MOST_BYTES + 1), 422)
    assert ("kind", "offers") in kept.form(PAGE).fields
    await desk.look("secrets", csv_of(FRENCH, GYM), 422)
    # The control: the largest file that is taken, which also comes back from the page.
    start, blank = csv_of(FRENCH, GYM) + b"\r\n", b" " * 998 + b"\r\n"
    largest = (start + blank * (MOST_BYTES // len(blank) + 1))[:MOST_BYTES]
    await desk.bring(await desk.look("sites", largest))


async def test_a_file_is_opened_by_the_session_that_it_was_sent_in_and_by_no_other(
    desk: Desk, enter: Enter, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    seen = await desk.look("sites", csv_of(FRENCH, GYM))
    for key in (municipality.key, association.key):
        browser = await enter(key)
        token = dict((await browser.read(PAGE)).form(PAGE).fields)["token"]
        refused = await Desk(browser, token).bring(seen, 422, token=token)
        assert say("console.import.too_old", "en") in refused.words
    for nonsense in ("x", "é", "A" * 40, "=" * 8):
        await desk.bring(seen, 422, sheet=nonsense)
    assert await rows(engine, "select 1 from site") == []
    # The control.
    await desk.bring(seen)
    assert len(await rows(engine, "select 1 from site")) == 1


async def test_a_key_brings_in_what_the_api_would_let_it_add_and_no_form_is_forged(
    desk: Desk, enter: Enter, municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    await (await enter(coordination.key)).read(PAGE, 403)
    forged = {"token": "x", "kind": "sites"}
    for headers in ({}, {"Origin": "http://elsewhere.example"}):
        sent = forged if not headers else {"token": desk.token, "kind": "sites"}
        answer = await desk.browser.http.post(
            PAGE, data=sent, files={"file": ("x.csv", csv_of(FRENCH, GYM))}, headers=headers
        )
        assert answer.status_code == 403
    seen = await desk.look("sites", csv_of(FRENCH, GYM))
    await rows(
        engine,
        "update api_key set scopes = :scopes where organization_id = :id",
        scopes=[Scope.OFFERS_READ.value],
        id=municipality.id,
    )
    await desk.bring(seen, 403)
    assert await rows(engine, "select 1 from site") == []


async def test_nothing_of_a_file_is_logged_or_left_on_a_disk(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await desk.bring(await desk.look("sites", csv_of(FRENCH, GYM, HOME)))
    await desk.look("sites", csv_of(FRENCH, HOME[::-1]), 422)
    said = "".join(capsys.readouterr())
    assert [guarded for guarded in GUARDED if guarded in said] == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a glance


def test_parts_are_read_byte_by_byte() -> None:
    """Whatever is in a file; what is no form of parts has none."""
    chance = random.Random(7)  # noqa: S311 - not for a secret
    kind = "multipart/form-data; boundary=here"
    for size in (0, 1, 2, 300, 5000):
        content = bytes(chance.randrange(256) for _ in range(size)) + b"\r\n--her\r\n\r\r\n\n\0\xff"
        body = (
            b'--here\r\nContent-Disposition: form-data; name="kind"\r\n\r\nsites\r\n'
            b'--here\r\nContent-Disposition: form-data; name="file"; filename="a.xlsx"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--here--\r\n"
        )
        assert [(part.name, part.filename, part.content) for part in parts_of(kind, body)] == [
            ("kind", "", b"sites"),
            ("file", "a.xlsx", content),
        ]
    for head in (
        b"",
        b"Content-Disposition: form-data",
        b"Content-Disposition: \xff; name*0=a; name*1=\xfe",
        b"a" * 5000,
    ):
        body = b"--here\r\n" + head + b"\r\n\r\ncontent\r\n--here--"
        assert all(part.content == b"content" for part in parts_of(kind, body))
    for strange in (b"", b"--here", b"--here\r\n\r\n\r\n--here--", bytes(range(256)) * 20):
        assert parts_of(kind, strange) == []
    assert len(parts_of(kind, b'--here\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 500)) == 20
    for other in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\xff\u20ac",
        "; a=b" * 20_000,
    ):
        assert parts_of(f"multipart/form-data{other}", b"--x\r\n\r\n") == []


def test_parts_inside_of_parts_are_not_looked_into() -> None:
    """Whatever a part says of itself: 2,000 that are nested, each with many lines, are one."""
    opens = b"".join(b"--x%d\r\nContent-Type: multipart/mixed; boundary=x%d\r\n\r\n" % (n, n + 1) for n in range(2000))
    inside = opens + b"\n" * 100_000
    body = (
        b'--here\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        b"Content-Type: multipart/mixed; boundary=x0\r\n\r\n" + inside + b"\r\n--here--\r\n"
    )
    assert [part.content for part in parts_of('multipart/form-data; boundary="here"', body)] == [inside]
    many = b'--here\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 1000
    assert len(parts_of("multipart/form-data; boundary=here", many)) == 20


async def test_a_form_with_a_file_is_read_on_its_page_alone_and_of_nobody_who_is_not_signed_in(
    desk: Desk, enter: Enter, municipality: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(content_type: str, body: bytes) -> list[Part]:
        read.append(content_type)
        return parts_of(content_type, body)

    monkeypatch.setattr("api.console.forms.parts_of", counted)
    stranger = await enter.browser()
    file = {"file": ("x.csv", csv_of(FRENCH, GYM))}
    for browser, path, status in (
        (stranger, "/console/sign-in", 401),
        (stranger, "/console/language", 200),
        (stranger, PAGE, 200),
        (desk.browser, "/console/houses/new", 403),
        (desk.browser, "/console/sign-out", 403),
    ):
        sent = {"token": desk.token, "key": municipality.key, "kind": "sites"}
        answer = await browser.http.post(path, data=sent, files=file)
        assert answer.status_code == status, (path, answer.text)
    assert read == []
    # The control: on its page, with a session.
    await desk.look("sites", csv_of(FRENCH, GYM))
    assert len(read) == 1


def test_what_was_sealed_is_opened_with_the_same_key_for_the_same_session_alone() -> None:
    key, written = bytes(range(32)), sealed(bytes(range(32)), b"one", b"content")
    assert opened(key, b"one", written) == b"content"
    assert "content" not in written
    assert written != sealed(key, b"one", b"content")
    for wrong in ((bytes(32), b"one", written), (key, b"two", written), (key, b"one", written[:-8]), (key, b"one", "")):
        assert opened(*wrong) is None


def test_every_column_and_every_flaw_has_its_words() -> None:
    keys = {f"console.column.{each.name}" for kind in (Sites, Offers, Pledges) for each in kind.columns}
    keys |= {f"flaw.{code}" for code in SENTENCES}
    for language in LANGUAGES:
        assert keys - catalogue(language).keys() == set(), language
