"""Where the servers' programs are: installed in the system, or unpacked in the project."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relais.embedded.packages import library_environment

EXTENSIONS = ("postgis", "btree_gist", "pg_trgm", "unaccent", "pgcrypto")
"""What a PostgreSQL must offer to serve Relais."""

_OLDEST = 14
_PLAIN = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class PostgresPrograms:
    """A PostgreSQL with PostGIS: its folder of programs, their version and the environment they need."""

    folder: Path
    major: int
    environment: Mapping[str, str]


@dataclass(frozen=True)
class RedisProgram:
    """A Redis server and what it needs in the environment."""

    server: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """A program beside the servers and what it needs in the environment."""

    program: Path
    environment: Mapping[str, str]


def installed_program(name: str) -> Program | None:
    """The system's program of this name, if there is one."""
    places = f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin"
    found = shutil.which(name, path=places)
    return Program(Path(found), _PLAIN) if found else None


def unpacked_program(tree: Path, place: str) -> Program:
    """The program at this place of an unpacked package tree."""
    return Program(tree / place, {**_PLAIN, **library_environment(tree)})


def installed_postgres() -> PostgresPrograms | None:
    """The system's newest PostgreSQL that has PostGIS, if there is one."""
    folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return newest_postgres(folders, {})


def installed_redis() -> RedisProgram | None:
    """The system's Redis server, if there is one."""
    found = shutil.which("redis-server", path=os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin")
    return RedisProgram(Path(found), _PLAIN) if found else None


def unpacked_postgres(tree: Path) -> PostgresPrograms | None:
    """The PostgreSQL of an unpacked package tree."""
    return newest_postgres(tree.glob("usr/lib/postgresql/*/bin"), library_environment(tree))


def unpacked_redis(tree: Path) -> RedisProgram:
    """The Redis of an unpacked package tree."""
    return RedisProgram(tree / "usr/bin/redis-server", {**_PLAIN, **library_environment(tree)})


def newest_postgres(folders: Iterable[Path], extra: Mapping[str, str]) -> PostgresPrograms | None:
    """The newest PostgreSQL in `folders` that offers all of EXTENSIONS; `extra` is its environment."""
    environment = {**_PLAIN, **extra}
    found = []
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            version = re.search(r"\) (\d+)", _ask(folder / "postgres", "--version", environment))
            if version and int(version[1]) >= _OLDEST and _offers_all(folder, int(version[1]), environment):
                found.append(PostgresPrograms(folder, int(version[1]), environment))
    return max(found, key=lambda programs: programs.major, default=None)


def _offers_all(folder: Path, major: int, environment: Mapping[str, str]) -> bool:
    share = folder.parents[3] / f"share/postgresql/{major}"  # Debian's place, beside lib/postgresql/N/bin
    if (folder / "pg_config").exists():
        share = Path(_ask(folder / "pg_config", "--sharedir", environment).strip() or share)
    return all((share / "extension" / f"{name}.control").exists() for name in EXTENSIONS)


def _ask(program: Path, question: str, environment: Mapping[str, str]) -> str:
    try:
        answer = subprocess.run(
            [program, question],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout
