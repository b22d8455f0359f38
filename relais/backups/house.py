"""Restoring a house: from its backups and with its keys, aside, and then where it was asked for."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.settings import Settings
from relais.backups.keys_at_hand import KeysAtHand
from relais.backups.places import Places
from relais.backups.problem import BackupProblem
from relais.backups.repository import Backup, Repository
from relais.backups.restoring import Aside, Restored, restore_aside
from relais.backups.taking import check_free, take_place, take_place_of
from relais.embedded.postgres import REPLACED
from relais.embedded.stack import owned
from relais.embedded.users import ServerUser

__all__ = ["Wish", "opened", "restore_house"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore: into which folder (`None`: the house itself), and to which moment (`None`: the last).

    `brought` are tombstones that were kept elsewhere: then nothing after the moment is read. `addresses`: only with all
    keys of exact places.
    """

    to: Path | None
    moment: datetime | None = None
    brought: frozenset[bytes] | None = None
    addresses: bool = True


def restore_house(places: Places, keys: Settings, wish: Wish) -> tuple[Aside, Restored]:
    """Restore what was wished for: where it is, and what is there. Raises StackProblem; then nothing has changed."""
    if wish.to is not None:
        check_free(wish.to)
        target = _server(places, wish.to.absolute())
        aside = _server(places, target.root.with_name(f"{target.root.name}.unfinished"))
    else:
        target, aside = _server(places, places.root), _server(places, places.root / "restoring")
        if (target.folder / REPLACED).exists():
            raise BackupProblem(
                f"{target.folder / REPLACED} is still there from an earlier restore. Nothing was restored. What to "
                "do: remove it once you need it no more."
            )
    with owned(places.root) if wish.to is None else nullcontext():
        restored = _restored(places, aside, keys, wish)
        _put(places, aside, target, in_place=wish.to is None)
    return target, restored


def _server(places: Places, root: Path) -> Aside:
    user = places.for_restoring()
    return Aside(root, user, places.programs)


def opened(places: Places, user: ServerUser | None, data: Path) -> Repository:
    """The backups, to be read. Raises StackProblem."""
    repository = places.repository(user, data, "restoring")
    repository.set_up()
    return repository


def _restored(places: Places, aside: Aside, keys: Settings, wish: Wish) -> Restored:
    repository = opened(places, aside.user, aside.data)
    chosen = _chosen(repository.backups(), wish.moment)
    try:
        KeysAtHand.of(keys).check(chosen.annotations, addresses=wish.addresses)
    except OSError as error:
        raise BackupProblem(
            f"A key file of the house cannot be read ({error.filename}). Nothing was restored. What to do: put your "
            "copies of the secret file and of the address key file in place, then try again."
        ) from None
    if wish.brought is None and (flaws := repository.flaws(chosen)):
        listed = "\n".join(f"    {flaw}" for flaw in flaws[:10])
        raise BackupProblem(
            f"The backups are not whole:\n{listed}\nNothing was restored. What to do: take another copy of the folder "
            "if there is one. To go back to a moment before the damage, give --at and --tombstones (docs/backup.md)."
        )
    try:
        return restore_aside(aside, repository, chosen, wish.moment, wish.brought, keys, places.tell)
    except BaseException:
        aside.remove()
        raise


def _chosen(backups: list[Backup], moment: datetime | None) -> Backup:
    if not backups:
        raise BackupProblem("There is no backup here. Nothing was restored. What to do: see `relais backup --list`.")
    before = [each for each in backups if moment is None or each.ended <= moment]
    if not before:
        raise BackupProblem(
            f"The oldest backup is of {backups[0].ended:%Y-%m-%d %H:%M:%S} UTC. Nothing was restored. What to do: ask "
            "for a moment after that."
        )
    return before[-1]


def _put(places: Places, aside: Aside, target: Aside, *, in_place: bool) -> None:
    if not in_place:
        take_place(aside, target)
        return
    take_place_of(aside, target)
    repository = places.repository(target.user, target.data, "running")
    repository.set_up()
    with (target.data / "postgresql.auto.conf").open("a") as standing:
        standing.writelines(f"{setting}\n" for setting in repository.keeping_log())
