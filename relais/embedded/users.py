"""As whom the servers run, and where they may keep their files.

PostgreSQL refuses to run as root, so a stack that root starts belongs to an unprivileged user. That user
must be able to walk down to the files; where the project lies under a folder that only root may enter
(`/root`), the servers' files go to `OUTSIDE` instead.
"""

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from relais.embedded.problem import StackProblem

OUTSIDE = Path("/var/lib/relais")


@dataclass(frozen=True)
class ServerUser:
    """The account that the servers run as."""

    uid: int
    gid: int
    name: str


def server_user(root: Path) -> ServerUser | None:
    """Who runs the servers of the stack at `root`; None is the caller, who is not root."""
    if os.geteuid() != 0:
        return None
    # With sudo in somebody's checkout the servers run as them, and the next start without sudo works.
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    owner = nearest.stat().st_uid
    try:
        entry = pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam("nobody")
    except KeyError:
        try:
            entry = pwd.getpwnam("nobody")  # initdb wants an account with a name
        except KeyError:
            raise StackProblem(
                "PostgreSQL does not run as root, and this machine has no user `nobody` to run it. "
                "Nothing was started. What to do: start again as an ordinary user."
            ) from None
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def reachable(folder: Path, user: ServerUser | None) -> Path:
    """`folder` itself when `user` can walk down to it, else one for it under `OUTSIDE`."""
    folder = folder.absolute()
    if user is None or all(_may_enter(above, user) for above in (folder, *folder.parents)):
        return folder
    return OUTSIDE / f"{folder.name}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"


def open_folder(path: Path) -> Path:
    """Make the folder `path` and those above it; everybody may enter, so what is secret in them is 0600."""
    for above in (*reversed(path.parents), path):
        if not above.exists():
            above.mkdir(exist_ok=True)
            above.chmod(0o755)
            keep_theirs(above)
    return path


def keep_theirs(path: Path) -> None:
    """With sudo in somebody's checkout: what was made at `path` goes to the owner of the folder it is in."""
    if os.geteuid() == 0:
        above = path.parent.stat()
        for made in (path, *path.rglob("*")) if above.st_uid != 0 else ():
            os.chown(made, above.st_uid, above.st_gid, follow_symlinks=False)


def folder_for(path: Path, user: ServerUser | None) -> Path:
    """Make the private folder `path` (0700) of `user`, and the folders above it that everybody may enter."""
    open_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None and path.stat().st_uid != user.uid:
        os.chown(path, user.uid, user.gid)
    return path


def _may_enter(folder: Path, user: ServerUser) -> bool:
    try:
        facts = folder.stat()
    except FileNotFoundError:
        return True  # it will be made enterable
    if facts.st_uid == user.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == user.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)
