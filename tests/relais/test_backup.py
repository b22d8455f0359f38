"""Backups: any moment is restored whole, what was purged stays purged, and what is damaged is refused in words."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from db import feed, invariants, tombstones
from db.connection import connect, looking, transaction
from db.settings import Settings
from db.slip_filing import file_missing
from db.slips import SlipKeys
from relais import looks_at_work
from relais.backups import log_files
from relais.backups.backing_up import back_up
from relais.backups.house import Wish, opened, restore_house
from relais.backups.problem import BackupProblem
from relais.backups.repository import Backup, past_term
from relais.backups.settings import BackupSettings
from relais.command import main
from relais.embedded import StackProblem
from relais.finding import House as Doctored
from relais.finding import State
from tests.conftest import ROOT
from tests.db.acts import one, rows
from tests.memory import folder_in_memory
from tests.relais.drill import Act, House, Told, evening_of_acts
from tests.waiting import eventually

_SEED = 20261201


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A house, stopped again after an evening; see `told`."""
    with folder_in_memory() as folder:
        yield House.new(folder)


@pytest.fixture(scope="module")
def told(house: House, *, long: bool) -> Told:
    """What people were told on that evening, with the moments to go back to."""
    acts, moments = (400, 20) if long else (40, 2)
    with house.running() as settings:
        return asyncio.run(evening_of_acts(house, settings, _SEED, acts=acts, moments=moments))


@pytest.fixture
def copied(house: House, told: Told, tmp_path: Path) -> House:
    """The house with a copy of its backups, to be damaged."""
    assert told.acts
    copy = house.folder / f"copy-{tmp_path.name}"
    shutil.copytree(house.places.root / "backups", copy)
    _give(copy, house.places.root / "backups")
    return replace(house, places=replace(house.places, settings=BackupSettings(backup_folder=copy)))


def _give(folder: Path, like: Path) -> None:
    owner = like.stat()
    for each in (folder, *folder.rglob("*")):
        shutil.chown(each, owner.st_uid, owner.st_gid)


def restored_to(house: House, wish: Wish) -> Path:
    """Restore into a new folder: where it is."""
    assert wish.to is not None
    restore_house(house.places, house.keys, wish)
    return wish.to


async def lost(settings: Settings, told: Told, moment: datetime) -> list[Act]:
    """What people were told before the moment, and is not there."""
    engine = connect(settings, "test")
    needs = {row.id for row in await rows(engine, "select id from need")}
    firm = {row.id for row in await rows(engine, "select id from allocation where state = 'confirmed'")}
    await engine.dispose()
    return [
        act
        for act in told.acts
        if act.after <= moment
        and act.need not in told.purged
        and not (act.need in needs and (act.allocation is None or act.allocation in firm))
    ]


async def too_early(settings: Settings, told: Told, moment: datetime) -> list[Act]:
    """Needs that are there though they were posted after the moment."""
    engine = connect(settings, "test")
    needs = {row.id for row in await rows(engine, "select id from need")}
    await engine.dispose()
    return [act for act in told.acts if act.before > moment and act.allocation is None and act.need in needs]


async def back(settings: Settings, told: Told) -> tuple[int, int]:
    """Of what was purged how much is there, asked by its ids and by its tombstones."""
    engine = connect(settings, "test")
    async with transaction(engine) as tx:
        by_name = await tombstones.risen(tx, settings.keys().of("tombstone"), told.tombstones)
    found = await one(engine, "select count(*) as n from need where id = any(:ids)", ids=list(told.purged))
    await engine.dispose()
    return int(found.n), by_name


async def era(settings: Settings) -> int:
    engine = connect(settings, "test")
    async with transaction(engine) as tx:
        now = await feed.now(tx)
    await engine.dispose()
    return now.era


async def not_as_it_must_be(settings: Settings) -> dict[str, int]:
    engine = connect(settings, "test")
    async with transaction(engine) as tx:
        found = await invariants.broken(tx)
    await engine.dispose()
    return found


def test_any_moment_is_restored_whole_and_what_was_purged_stays_purged(house: House, told: Told) -> None:
    for moment in told.moments[:-1]:  # the last is restored in place
        assert any(act.need in told.purged and act.after <= moment for act in told.acts), "nothing to bring back"
        root = restored_to(house, Wish(house.folder / "restored", moment))
        with house.restored(root) as settings:
            assert asyncio.run(lost(settings, told, moment)) == []
            assert asyncio.run(too_early(settings, told, moment)) == []
            assert asyncio.run(not_as_it_must_be(settings)) == {}
            assert asyncio.run(back(settings, told)) == (0, 0)
            assert asyncio.run(era(settings)) > told.era, "who read the feed before must look anew"
        shutil.rmtree(root)


def test_without_tombstones_what_was_purged_is_back_and_the_checks_say_so(house: House, told: Told) -> None:
    root = restored_to(house, Wish(house.folder / "control", told.moments[0], brought=frozenset()))
    with house.restored(root) as settings:
        assert asyncio.run(back(settings, told)) == (1, 1)
        # It is the moment asked for and no other: what came after it is missed, what was before comes too early.
        assert asyncio.run(lost(settings, told, told.moments[-1])) != []
        assert asyncio.run(too_early(settings, told, told.acts[0].before - timedelta(seconds=1))) != []
    shutil.rmtree(root)


def refused(house: House, wish: Wish, match: str) -> None:
    """The restore is refused in these words, and leaves nothing."""
    before = sorted(house.folder.iterdir())
    with pytest.raises(BackupProblem, match=match):
        restore_house(house.places, house.keys, wish)
    assert sorted(house.folder.iterdir()) == before


def log_kept(house: House) -> list[Path]:
    assert house.places.settings.backup_folder
    return sorted(house.places.settings.backup_folder.glob("archive/relais/*/*/*.zst"))


def test_a_missing_log_file_is_refused(copied: House, told: Told) -> None:
    kept = log_kept(copied)
    kept[-2].unlink()
    refused(copied, Wish(copied.folder / "out", told.moments[-1]), f"log file {kept[-2].name[:24]} is missing")


def test_one_changed_byte_of_the_log_is_refused(copied: House, told: Told) -> None:
    change_a_byte(log_kept(copied)[-1])
    refused(copied, Wish(copied.folder / "out", told.moments[-1]), "The backups are not whole")


def test_one_changed_byte_of_a_backup_is_refused(copied: House, told: Told) -> None:
    assert copied.places.settings.backup_folder
    change_a_byte(max(copied.places.settings.backup_folder.rglob("bundle/*"), key=lambda file: file.stat().st_size))
    refused(copied, Wish(copied.folder / "out", told.moments[-1]), "The backups are not whole")
    # Nor is it when nobody looked through the folder before.
    refused(copied, Wish(copied.folder / "out", told.moments[-1], brought=told.tombstones), "could not do its part")


def change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_under_another_key_nothing_opens(copied: House, told: Told) -> None:
    key = copied.folder / "other-key"
    key.write_text("x" * 48)
    settings = copied.places.settings.model_copy(update={"backup_key_file": key})
    other = replace(copied, places=replace(copied.places, settings=settings))
    refused(other, Wish(copied.folder / "out", told.moments[0]), "cannot be opened: the key file is not the one")
    key.unlink()


def test_without_the_keys_of_the_house_it_is_not_restored(house: House, told: Told, tmp_path: Path) -> None:
    other = House.new(tmp_path).keys
    for name, match in (("secret_file", "secret file at hand is not"), ("address_key_file", "lacks a key")):
        keys = house.keys.model_copy(update={name: getattr(other, name)})
        refused(replace(house, keys=keys), Wish(tmp_path / "out", told.moments[0]), match)


def test_moments_that_no_backup_reaches_are_refused(house: House, told: Told) -> None:
    long_ago, later = told.acts[0].before - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    refused(house, Wish(house.folder / "out", long_ago), "The oldest backup is of")
    refused(house, Wish(house.folder / "out", later, brought=frozenset()), "ends before the moment asked for, at 20")


def test_in_place_the_house_goes_on_and_is_backed_up_on(house: House, told: Told) -> None:
    moment = told.moments[-1]
    target, _ = restore_house(house.places, house.keys, Wish(None, moment))
    with house.running() as settings:
        assert asyncio.run(lost(settings, told, moment)) == []
        assert asyncio.run(back(settings, told)) == (0, 0)
        asyncio.run(once_more(house, settings))
        assert asyncio.run(how_the_log_is_kept(settings)) == [None, State.TO_DO, None]
        other = settings.model_copy(update={"secret_file": house.folder / "other-secret"})
        other.secret_file.write_bytes(bytes(48))
        asyncio.run(file_slips(settings))
        with pytest.raises(BackupProblem, match="is not the one of this house"):
            asyncio.run(once_more(house, other))
    repository = opened(house.places, target.user, target.data)
    first, last = repository.backups()
    assert repository.flaws(first) == repository.flaws(last) == []
    repository.throw_away(first)
    assert [each.label for each in repository.backups()] == [last.label]
    assert repository.flaws(last) == []
    refused(house, Wish(None, moment), "still there from an earlier restore")
    # Killed between its last two steps, it leaves a house that does not start empty.
    target.data.rename(target.folder / "elsewhere")
    with pytest.raises(StackProblem, match="cut short"), house.running():
        pass
    (target.folder / "elsewhere").rename(target.data)


def test_the_commands_say_what_there_is_and_what_is_missing(
    house: House, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relais.backups.commands.ROOT", house.places.root)
    (house.places.root / "packages").symlink_to(ROOT / ".relais" / "packages")
    monkeypatch.setenv("RELAIS_SECRET_FILE", str(house.keys.secret_file))
    monkeypatch.setenv("RELAIS_ADDRESS_KEY_FILE", str(house.keys.address_key_file))

    def said(*arguments: str) -> str:
        return CliRunner().invoke(main, arguments).output

    assert f"{told.moments[0]:%Y%m%d}-" in said("backup", "--list")
    assert "either --to FOLDER or --in-place" in said("restore")
    out = str(house.folder / "out")
    assert "either --to FOLDER or --in-place" in said("restore", "--in-place", "--to", out)
    assert "with its offset" in said("restore", "--to", out, "--at", "2026-12-01T18:00:00")
    later = datetime.now(UTC) + timedelta(days=1)
    assert "is still to come" in said("restore", "--to", out, "--at", later.isoformat())
    done = said("restore", "--to", out)
    assert "Counters, places and states agree" in done, done
    assert "something in" in said("restore", "--to", out)
    shutil.rmtree(out)


async def how_the_log_is_kept(settings: Settings) -> list[State | None]:
    """What `relais doctor` says of the log of changes: as it is, while it cannot be kept, and then."""
    engine = connect(settings, "test")

    async def look() -> State | None:
        found = await looks_at_work.backups(Doctored(settings, engine))
        return found.state if found else None

    async def is_failing() -> bool:
        return await look() is State.TO_DO

    async def is_kept() -> bool:
        return await look() is None

    kept = (await one(engine, "show archive_command")).archive_command
    states = [await look()]
    await _archive_by(engine, "/bin/false")
    await eventually(is_failing, "the log cannot be kept")
    states.append(await look())
    await _archive_by(engine, kept)
    await eventually(is_kept, "it is kept again", 90)
    states.append(await look())
    await engine.dispose()
    return states


async def _archive_by(engine: AsyncEngine, command: str) -> None:
    async with looking(engine) as connection:
        quoted = command.replace("'", "''")
        await connection.exec_driver_sql(f"alter system set archive_command = '{quoted}'")
        await connection.exec_driver_sql("select pg_reload_conf()")
        # Where nothing was written, no file of the log is begun.
        await connection.exec_driver_sql("select pg_create_restore_point('before'), pg_switch_wal()")


async def file_slips(settings: Settings) -> None:
    engine = connect(settings, "test")
    await file_missing(engine, SlipKeys.of(settings.keys()))
    await engine.dispose()


async def once_more(house: House, settings: Settings) -> None:
    engine = connect(settings, "test")
    await back_up(house.places, engine, settings)
    await engine.dispose()


def test_gaps_in_the_log_are_seen_on_each_timeline() -> None:
    def name(timeline: int, number: int) -> str:
        return f"15-1/{timeline:08X}00000000/{timeline:08X}{number // 256:08X}{number % 256:08X}-{'0' * 40}.zst"

    first = [name(1, number) for number in range(250, 260)]
    second = [name(2, number) for number in range(258, 262)]
    start = "0000000100000000000000FC"
    assert log_files.missing([*first, *second, "15-1/00000002.history"], start) == []
    assert log_files.missing([*first[:4], *first[5:]], start) == ["0000000100000000000000FE"]
    assert log_files.missing(first[1:], start) == []
    assert log_files.missing([*first, *second[:2], *second[3:]], start) == ["000000020000000100000004"]
    assert log_files.missing([*first[:7], *second[1:]], start) == [
        "000000020000000100000001",
        "000000020000000100000002",
    ]
    assert log_files.missing([], start) == [start]


def test_backups_past_their_term_go_and_the_newest_stays() -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)

    def made(days: int) -> Backup:
        return Backup(str(days), now, now - timedelta(days=days), 0, "", 15, {})

    backups = [made(40), made(15), made(14), made(1)]
    assert past_term(backups, 14, now) == backups[:2]
    assert past_term(backups[:1], 14, now) == []
