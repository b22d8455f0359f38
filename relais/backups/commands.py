"""`relais backup` and `relais restore`."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from db.environment import read
from db.settings import Settings
from relais.asking import told, with_engine
from relais.backups.backing_up import back_up
from relais.backups.house import Wish, opened, restore_house
from relais.backups.places import Places
from relais.backups.problem import BackupProblem
from relais.backups.repository import LOST_AT_MOST_SECONDS, Backup
from relais.backups.restoring import Aside, Restored
from relais.backups.settings import BackupSettings
from relais.embedded.postgres import REPLACED
from relais.running import ROOT
from relais.up import HouseSettings

__all__ = ["backup", "restore"]

_LATE_DAYS = 2


def backup(
    *,
    only_list: Annotated[bool, typer.Option("--list", help="List the backups there are; none is made.")] = False,
) -> None:
    """Back up the whole database now, sealed, and from now on every change to it, so that any moment can be restored.

    Backups older than their term are deleted.
    """
    if only_list:
        with told():
            places = _places()
            user = places.for_restoring()
            _show(opened(places, user, Path("/nowhere")).backups())
        return
    places = _places()
    made, gone = with_engine(partial(back_up, places))
    typer.echo(
        f"Backed up: {_size(made.stored_bytes)} in {made.label}. From {made.ended:%Y-%m-%d %H:%M:%S} UTC on any moment "
        f"can be restored, up to the last {LOST_AT_MOST_SECONDS} seconds. {len(gone)} backups were past their term and "
        "were deleted."
    )
    typer.echo(
        "Neither the secret file, nor the address key file, nor the key file of the backups is in it: keep a copy of "
        f"each elsewhere ({places.key_file} is the last of them). Without them nothing can be restored."
    )


def restore(
    *,
    to: Annotated[Path | None, typer.Option("--to", help="Restore into this folder, which is not there yet.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Restore the house itself, which must not run.")] = False,
    at: Annotated[
        str | None, typer.Option("--at", help="The moment to go back to, as 2026-12-01T18:00:00+01:00; else the last.")
    ] = None,
    tombstones: Annotated[
        Path | None,
        typer.Option(
            "--tombstones", help="What `relais tombstones export` printed: nothing after the moment is read then."
        ),
    ] = None,
    without_address_keys: Annotated[
        bool, typer.Option("--without-address-keys", help="Restore though a key of exact places is lost.")
    ] = False,
) -> None:
    """Restore a backup to any moment; what was purged since is purged again, and all is looked at before it counts."""
    with told():
        if (to is None) is not in_place:
            raise BackupProblem("Say where to: either --to FOLDER or --in-place. Nothing was restored.")
        places = _places()
        wish = Wish(to, _moment(at), _brought(tombstones), addresses=not without_address_keys)
        target, restored = restore_house(places, _keys(places), wish)
    _tell(target, restored, in_place=in_place)


def _places() -> Places:
    return Places.of_house(ROOT, read(BackupSettings), lambda line: typer.echo(line, err=True))


def _keys(places: Places) -> Settings:
    """The key files of the house, as `relais up` has them; its database is not asked."""
    asked = read(HouseSettings)
    return Settings(
        database_url="postgresql+asyncpg://nobody@127.0.0.1/none",
        secret_file=asked.secret_file or places.root / "secrets" / "secret",
        address_key_file=asked.address_key_file or places.root / "secrets" / "address-key",
    )


def _moment(at: str | None) -> datetime | None:
    if at is None:
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BackupProblem(
            "--at is a time with its offset, as 2026-12-01T18:00:00+01:00. Nothing was restored. What to do: try again."
        )
    now = datetime.now(UTC)
    if moment > now:
        raise BackupProblem(
            f"--at is still to come: it is {now:%Y-%m-%d %H:%M:%S} UTC. Nothing was restored. What to do: give one "
            "that has passed, or leave --at out to have all there is."
        )
    return moment


def _brought(file: Path | None) -> frozenset[bytes] | None:
    if file is None:
        return None
    try:
        return frozenset(bytes.fromhex(line) for line in file.read_text().split())
    except (OSError, ValueError):
        raise BackupProblem("The file cannot be read as tombstones. Nothing was restored.") from None


def _show(backups: list[Backup]) -> None:
    for each in backups:
        typer.echo(f"{each.ended:%Y-%m-%d %H:%M:%S} UTC  {each.label}  {_size(each.stored_bytes)}")
    if not backups:
        typer.echo("There is no backup yet.")
    elif (age := datetime.now(UTC) - backups[-1].ended) > timedelta(days=_LATE_DAYS):
        typer.echo(
            f"The newest is {age.days} days old. What is past its term is deleted by the next one alone: run `relais "
            "backup` every day."
        )


def _tell(target: Aside, restored: Restored, *, in_place: bool) -> None:
    there = restored.reckoning
    until = f"{restored.until:%Y-%m-%d %H:%M:%S} UTC" if restored.until else "the moment of the backup"
    typer.echo(
        f"Restored: the last act in it is of {until}. {there.organizations} organizations, {there.needs} needs and "
        f"{there.allocations} allocations are there. {there.purged_again} things that had been purged since were "
        f"purged again, {there.past_term} that are past their term by now were deleted. Counters, places and states "
        "agree."
    )
    if in_place:
        typer.echo(
            "The house starts from it at the next `relais up`: run `relais backup` then. What it had before, if "
            f"anything, is in {target.folder / REPLACED}: remove that when you need it no more, for nothing is purged "
            "there."
        )
    else:
        typer.echo(
            f"It is in {target.data}, for a PostgreSQL of the same version; the password of its user `relais` is in "
            f"{target.password_file}. Remove the folder when you need it no more: nothing is purged there."
        )


def _size(stored: int) -> str:
    return f"{stored / 1e6:.1f} MB"
