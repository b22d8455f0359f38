"""The exit export: a house moves whole into an empty one under other keys, with the same figures; or not at all."""

import json
import secrets
import shutil
import tarfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import locations, moving
from db.addresses import Vault
from db.connection import connect, transaction
from db.invariants import broken
from db.moving import GOES, STAYS
from db.own_slip import read
from db.retention import purge
from db.settings import Settings
from db.slip_filing import file_missing
from db.slips import SlipKeys
from db.tables import Row
from geo.cells import Point
from matching.refusals import NotFound
from relais.embedded import StackProblem
from relais.parcel import opened_parcel, packed, passphrase_of
from tests.conftest import Servers, run_on_server, settings_for
from tests.db.acts import one, rows
from tests.evening import Evening, evening
from tests.places import MENTON
from tests.relais.conftest import Relais
from tests.worker.test_retention import end_everything, let_pass
from worker.settings import WorkerSettings

SECRET = Point(6.6412345, 44.9012345)
WORDS = "correct horse battery staple"


@dataclass(frozen=True)
class OtherHouse:
    """An instance of its own, with a secret and an address key of its own, in which nobody takes part yet."""

    settings: Settings
    engine: AsyncEngine

    def entered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Commands act on this one from now on."""
        monkeypatch.setenv("RELAIS_DATABASE_URL", self.settings.database_url)
        monkeypatch.setenv("RELAIS_SECRET_FILE", str(self.settings.secret_file))
        monkeypatch.setenv("RELAIS_ADDRESS_KEY_FILE", str(self.settings.address_key_file))


@pytest_asyncio.fixture(loop_scope="function")
async def other(servers: Servers, template: str, tmp_path: Path) -> AsyncIterator[OtherHouse]:
    """Another house; one town that the first one uses is not loaded there."""
    name = f"relais_test_{uuid4().hex[:12]}"
    (tmp_path / "secret").write_bytes(secrets.token_bytes(32))
    (tmp_path / "address-key").write_bytes(b64encode(secrets.token_bytes(32)))
    await run_on_server(servers, f"create database {name} template {template}")
    found = settings_for(servers, (tmp_path / "secret", tmp_path / "address-key"), name)
    engine = connect(found, "test")
    await rows(engine, "delete from town where id = :id", id=MENTON.id)
    yield OtherHouse(found, engine)
    await engine.dispose()
    await run_on_server(servers, f"drop database {name} with (force)")


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    """A file with the passphrase."""
    file = tmp_path / "passphrase"
    write_words(file)
    return file


def write_words(file: Path) -> None:
    file.write_text(WORDS + "\n")


@dataclass(frozen=True)
class Moved:
    """A house with a past, and its export."""

    evening: Evening
    folder: Path


@pytest_asyncio.fixture(loop_scope="function")
async def moved(engine: AsyncEngine, settings: Settings, relais: Relais, passphrase: Path, tmp_path: Path) -> Moved:
    """An evening, with its places somewhere secret; written down."""
    today = await evening(engine, settings)
    async with transaction(engine) as tx:
        for site in (await tx.execute(text("select site_id from site_location where location is not null"))).all():
            await locations.keep_place(tx, site.site_id, SECRET, Vault.of_file(settings.address_key_file))
    return Moved(today, await written_down(relais, passphrase, tmp_path / "export"))


async def written_down(relais: Relais, passphrase: Path, to: Path) -> Path:
    """An export of the house as it is."""
    done = await relais("export", "--to", str(to), "--passphrase-file", str(passphrase))
    assert done.exit_code == 0, done.output
    return to


async def give_a_past(engine: AsyncEngine, settings: Settings) -> None:
    """An evening of last month that is over and counted, what people said of it, and a name of a town."""
    await evening(engine, settings)
    await end_everything(engine, settings)
    await let_pass(engine, 30)
    await purge(engine, WorkerSettings(**settings.model_dump(exclude={"database_address"})))
    await rows(engine, "insert into feedback_count values (current_date, :town, 'shelter', 'calm', 3)", town=MENTON.id)
    await rows(engine, "insert into site_mark select min(cast(id as text))::uuid, 12, 40 from site")
    await rows(engine, "insert into town_name values (:town, 'mentone', 'Mentone')", town=MENTON.id)
    await rows(engine, f"insert into figure values ('month', '2025-01-01', '{MENTON.id}', 'shelter', 'served', '', 40)")


async def everything(engine: AsyncEngine) -> dict[str, list[str]]:
    """All rows that go along, but for the towns that nobody uses."""
    async with transaction(engine) as tx:
        return {table: [line async for line in moving.lines(tx, table)] for table in GOES}


def drafts(folder: Path) -> list[Path]:
    """What was begun there and not finished."""
    return list(folder.glob(".*"))


async def nobody_is_there(engine: AsyncEngine) -> bool:
    counts = [(await one(engine, f"select count(*) as n from {table}")).n for table in ("organization", "need", "slot")]
    return counts == [0, 0, 0]


def test_every_table_goes_along_or_stays_for_a_reason() -> None:
    assert sorted([*GOES, *STAYS]) == sorted([*Row.metadata.tables, "alembic_version"])


async def test_the_house_is_the_same_in_the_other_instance(
    engine: AsyncEngine,
    settings: Settings,
    other: OtherHouse,
    relais: Relais,
    passphrase: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await give_a_past(engine, settings)
    await evening(engine, settings)
    folder = await written_down(relais, passphrase, tmp_path / "export.tar")
    assert folder.stat().st_mode & 0o077 == 0
    assert drafts(tmp_path) == [], "one is left"
    before = await everything(engine)
    assert [table for table in GOES if not before[table]] == [], "every table has something to prove"
    other.entered(monkeypatch)
    done = await relais("import", "--from", str(folder), "--passphrase-file", str(passphrase))
    assert done.exit_code == 0, done.output
    after = await everything(other.engine)
    assert [table for table in GOES if after[table] != before[table]] == []
    async with transaction(other.engine) as tx:
        assert await broken(tx) == {}
    # Every number goes on after the last: what is made next takes none that is there.
    new = "insert into slot (day, starts, ends, last_arrival, capacity) values (now(), now(), 'infinity', now(), 1)"
    made = await one(other.engine, f"{new} returning id")
    assert made.id > max(json.loads(line)["id"] for line in before["slot"])
    await rows(other.engine, "delete from slot where id = :id", id=made.id)
    figures = []
    for house, found in ((engine, settings), (other.engine, other.settings)):
        await end_everything(house, found)
        await let_pass(house, 30)
        await purge(house, WorkerSettings(**found.model_dump(exclude={"database_address"})))
        figures.append(await rows(house, "select * from daily_figure order by 1, 2, 3, 4, 5"))
    assert figures[0] == figures[1]
    assert len(figures[0]) > len(before["daily_figure"]), "what was still to be counted is counted the same"


async def test_what_is_secret_opens_there_alone_and_what_hangs_on_the_secret_stays(
    engine: AsyncEngine,
    settings: Settings,
    moved: Moved,
    other: OtherHouse,
    relais: Relais,
    passphrase: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {file.name for file in moved.folder.iterdir()}
    assert names == {"manifest.json", "site_location.jsonl", *(f"{table}.jsonl" for table in GOES)}
    written = b"".join((moved.folder / name).read_bytes() for name in names)
    for word in (b"impasse", b"Ruisseau", b"6.6412", b"44.9012", b'"slip"'):
        assert word not in written, word
    other.entered(monkeypatch)
    done = await relais("import", "--from", str(moved.folder), "--passphrase-file", str(passphrase))
    assert done.exit_code == 0, done.output
    sites = await rows(engine, "select site_id from site_location where location is not null")
    assert sites
    vault = Vault.of_file(other.settings.address_key_file)
    async with transaction(other.engine) as tx:
        for site in sites:
            site_id: UUID = site.site_id
            assert await locations.read_place(tx, site_id, vault) == SECRET
            with pytest.raises(ValueError, match="cannot be opened"):
                await locations.read_place(tx, site_id, Vault.of_file(settings.address_key_file))
    theirs = SlipKeys.of(other.settings.keys())
    await file_missing(other.engine, theirs)
    async with transaction(other.engine) as tx:
        assert (await read(tx, theirs.filed(moved.evening.family), vault)).category == "shelter"
        with pytest.raises(NotFound):
            await read(tx, SlipKeys.of(settings.keys()).filed(moved.evening.family), vault)
    for table in ("api_key", "webhook", "channel", "notice", "event", "idempotency", "tombstone"):
        assert (await one(other.engine, f"select count(*) as n from {table}")).n == 0, table
    acts = await rows(other.engine, "select distinct act from audit_pending")
    assert [row.act for row in acts] == ["relais import"]


def change(name: str, of: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    def act(folder: Path, _passphrase: Path) -> None:
        file = folder / name
        file.write_bytes(of(file.read_bytes()))

    return act


def without(folder: Path, _passphrase: Path) -> None:
    (folder / "need.jsonl").unlink()


def another_passphrase(_folder: Path, passphrase: Path) -> None:
    passphrase.write_text(WORDS[::-1])


def too_short(_folder: Path, passphrase: Path) -> None:
    passphrase.write_text("short")


REFUSED: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "a byte": (change("need.jsonl", lambda was: was.replace(b'"adults": 4', b'"adults": 5')), "need.jsonl is not"),
    "the last line": (change("slot.jsonl", lambda was: was[: was[:-1].rindex(b"\n") + 1]), "slot.jsonl is not"),
    "a place": (change("site_location.jsonl", lambda was: was.replace(b"A", b"B", 1)), "site_location.jsonl is not"),
    "the manifest": (
        change("manifest.json", lambda was: was.replace(b'"made_at": "2', b'"made_at": "3')),
        "was changed",
    ),
    "a file": (without, "cannot be read"),
    "no manifest": (change("manifest.json", lambda _: b"{}"), "no export of Relais"),
    "the passphrase": (another_passphrase, "passphrase is not the one"),
    "a short passphrase": (too_short, "less than 20 characters"),
}


async def test_what_was_changed_cut_off_or_sealed_otherwise_is_refused_and_so_is_a_house_that_is_not_empty(
    engine: AsyncEngine,
    moved: Moved,
    other: OtherHouse,
    relais: Relais,
    passphrase: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = await everything(engine)
    refused = await relais("import", "--from", str(moved.folder), "--passphrase-file", str(passphrase))
    assert refused.exit_code == 1
    assert "is not empty" in refused.output
    assert await everything(engine) == before
    other.entered(monkeypatch)
    for what, (spoil, words) in REFUSED.items():
        spoilt = tmp_path / what.replace(" ", "-")
        shutil.copytree(moved.folder, spoilt)
        spoil(spoilt, passphrase)
        refused = await relais("import", "--from", str(spoilt), "--passphrase-file", str(passphrase))
        assert refused.exit_code == 1, what
        assert words in refused.output.replace("\n", " "), (what, refused.output)
        assert await nobody_is_there(other.engine), what
        write_words(passphrase)


async def resealed(folder: Path, to: Path, changed: Callable[[str, str], str], schema: str | None = None) -> None:
    """The same export with other lines, as somebody who knows the passphrase could write it."""
    passphrase = WORDS.encode()
    manifest = json.loads((folder / "manifest.json").read_text())

    async def lines(name: str) -> AsyncIterator[str]:
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            yield changed(name, line)

    with packed(to, passphrase) as packing:
        for name in manifest["parts"]:
            if name != "site_location":
                await packing.add(name, lines(name))

        async def nowhere() -> AsyncIterator[str]:
            for _ in ():
                yield ""

        await packing.add("site_location", nowhere())
        packing.close(schema or manifest["schema"])


async def test_one_that_breaks_what_must_hold_or_is_of_another_schema_leaves_nothing(
    moved: Moved, other: OtherHouse, relais: Relais, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.entered(monkeypatch)

    def fuller(name: str, line: str) -> str:
        return line.replace('"used": 4', '"used": 5') if name == "slot" else line

    def orphan(name: str, line: str) -> str:
        return line.replace('"town_id": ', '"town_id": 1') if name == "pledge" else line

    def same(_name: str, line: str) -> str:
        return line

    for what, changed, schema, words in (
        ("counter", fuller, None, "each counter is the sum"),
        ("orphan", orphan, None, "took one of its rows for wrong"),
        ("schema", same, "0001", "is of schema 0001"),
    ):
        await resealed(moved.folder, tmp_path / what, changed, schema)
        refused = await relais("import", "--from", str(tmp_path / what), "--passphrase-file", str(passphrase))
        assert refused.exit_code == 1, what
        assert words in refused.output, (what, refused.output)
        assert await nobody_is_there(other.engine), what
    await resealed(moved.folder, tmp_path / "same", same)
    done = await relais("import", "--from", str(tmp_path / "same"), "--passphrase-file", str(passphrase))
    assert done.exit_code == 0, "unchanged, it is taken: " + done.output


async def test_nothing_is_written_over_or_left_half_written(
    engine: AsyncEngine, settings: Settings, relais: Relais, passphrase: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for to, words in ((there, "is there already"), (tmp_path / "no" / "where", "There is no folder")):
        refused = await relais("export", "--to", str(to), "--passphrase-file", str(passphrase))
        assert refused.exit_code == 1
        assert words in refused.output.replace("\n", " ")
    await evening(engine, settings)
    await rows(engine, "update site_location set location = '\\x00'")
    refused = await relais("export", "--to", str(tmp_path / "half"), "--passphrase-file", str(passphrase))
    assert refused.exit_code != 0, "a place that cannot be opened is not left behind silently"
    assert not (tmp_path / "half").exists()
    assert drafts(tmp_path) == []


async def test_either_countries_or_an_export(relais: Relais, passphrase: Path, tmp_path: Path) -> None:
    for wrong in ((), ("--from", str(tmp_path)), ("FR", "--from", str(tmp_path), "--passphrase-file", str(passphrase))):
        assert (await relais("import", *wrong)).exit_code == 2, wrong


def test_nothing_but_plain_files_comes_out_of_a_tar(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil", "../outside")
        link = tarfile.TarInfo("manifest.json")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "evil")
        tar.addfile(link)
    (tmp_path / "passphrase").write_text(WORDS)
    with (
        pytest.raises(StackProblem, match="no export"),
        opened_parcel(tmp_path / "evil.tar", passphrase_of(tmp_path / "passphrase")),
    ):
        pass
    assert not (tmp_path.parent / "outside").exists()
