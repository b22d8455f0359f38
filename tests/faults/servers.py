"""PostgreSQL and Redis of a test's own, run as the test wants: on another clock, on a small disk."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from relais.embedded import programs
from relais.embedded.packages import unpacked_packages
from relais.embedded.postgres import Postgres
from relais.embedded.processes import Log
from relais.embedded.redis import Redis
from relais.embedded.users import ServerUser, folder_for, reachable, server_user
from tests.conftest import ROOT

__all__ = ["a_postgres", "a_redis", "as_user"]


def a_postgres(
    root: Path, folder: Path | None = None, environment: Mapping[str, str] = {}, like: Path | None = None
) -> tuple[Postgres, Path]:
    """One that is prepared, and the folder of its cluster: `folder`, or one below `root`.

    `environment` is added to its own; `like` is the folder of a stopped one whose data it begins with.
    """
    user = server_user(root)
    found = programs.installed_postgres() or programs.unpacked_postgres(_tree())
    assert found is not None, "the unpacked PostgreSQL does not work"
    found = replace(found, environment={**found.environment, **environment})
    place = folder or folder_for(reachable(root / "postgres", user), user)
    if like is not None:
        # As the user who is to own them: on a disk of that user's nobody else can own anything.
        subprocess.run(["cp", "-a", like / "data", place / "data"], check=True, **as_user(user))
    made = Postgres(found, place, Log(root / "log/postgres.log"), root / "postgres.password", user)
    made.prepare()
    return made, place


def as_user(user: ServerUser | None) -> dict[str, Any]:
    """How `subprocess` is told to run something as the user of the servers."""
    return {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}


def a_redis(root: Path) -> tuple[Redis, Path]:
    """One, and the folder where it would keep a dump."""
    user = server_user(root)
    found = programs.installed_redis() or programs.unpacked_redis(_tree())
    place = folder_for(reachable(root / "redis", user), user)
    made = Redis(found, place, Log(root / "log/redis.log"), user)
    made.prepare()
    return made, place


def _tree() -> Path:
    packages = ROOT / ".relais" / "packages"
    return unpacked_packages(reachable(packages, server_user(packages)), tell=print)
