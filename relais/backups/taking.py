"""Putting what was restored in place: into a folder of its own, or into the house itself."""

from pathlib import Path

from relais.backups.problem import BackupProblem
from relais.backups.restoring import Aside
from relais.embedded.postgres import REPLACED
from relais.embedded.users import folder_for, keep_theirs

__all__ = ["check_free", "take_place", "take_place_of"]


def check_free(folder: Path) -> None:
    """Raise BackupProblem where `folder` has something in it."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupProblem(
            f"There is something in {folder} already. Nothing was restored. What to do: name a folder that is not "
            "there yet."
        )


def take_place(aside: Aside, target: Aside) -> None:
    """Let what is aside be the target, which is free."""
    if target.root.exists():
        target.root.rmdir()
    aside.root.rename(target.root)
    if aside.folder.exists():
        folder_for(target.folder.parent, target.user)
        aside.folder.rename(target.folder)


def take_place_of(aside: Aside, house: Aside) -> bool:
    """Let the data aside be the house's, whose own is kept beside it as `data.replaced`; whether it had any."""
    folder_for(house.folder, house.user)
    replaced = house.folder / REPLACED
    had_data = house.data.exists()
    # Without the file, whichever data is there at the next start is given a new password.
    house.password_file.unlink(missing_ok=True)
    if had_data:
        house.data.rename(replaced)
    aside.data.rename(house.data)
    aside.password_file.rename(house.password_file)
    keep_theirs(house.password_file)
    aside.remove()
    return had_data
