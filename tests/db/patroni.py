"""Patroni with etcd on this machine, as docs/scale.md describes it: a pair of servers that nobody here promotes."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final
from uuid import uuid4

import httpx

from relais.embedded.choosing import Programs
from relais.embedded.packages import Wanted, library_environment, unpacked_packages
from relais.embedded.ports import LOOPBACK, free_port
from relais.embedded.problem import StackProblem
from relais.embedded.processes import Ending, Log, end, running_in, spawn, wait_until
from relais.embedded.programs import PostgresPrograms
from relais.embedded.users import ServerUser, folder_for, reachable, server_user
from tests.conftest import ROOT

__all__ = ["Member", "Watched", "a_watched_pair", "fetch"]

_PYTHON: Final = Path("/usr/bin/python3")
"""The distribution's own: its packages are for that one."""
# Never `first` or `any`: where followers are named to be waited for, these are words of the language.
_NAMES: Final = ("db-a", "db-b")
_ENDINGS: Final = (Ending(SIGTERM, 20), Ending(SIGKILL, 5))
_SUPERUSER: Final = "relais"


@dataclass(frozen=True)
class _Programs:
    """Where everything is, and what it needs in its environment."""

    tree: Path
    servers: PostgresPrograms
    together: Path
    """A folder in which the servers' programs and their clients' stand side by side, as Patroni wants them."""

    @property
    def environment(self) -> dict[str, str]:
        """For each of them."""
        libraries = library_environment(self.tree)["LD_LIBRARY_PATH"]
        theirs = self.servers.environment
        return {
            **theirs,
            "LD_LIBRARY_PATH": ":".join(filter(None, (theirs.get("LD_LIBRARY_PATH"), libraries))),
            "PYTHONPATH": str(self.tree / "usr/lib/python3/dist-packages"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
        }


class Member:
    """A Patroni and the server that it keeps."""

    def __init__(self, name: str, folder: Path, programs: _Programs, user: ServerUser | None, log: Log) -> None:
        self.name = name
        self.port, self.api_port = free_port(), free_port()
        self.file, self.data = folder / "patroni.yml", folder / "data"
        self._folder = folder
        self._programs = programs
        self._user = user
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start Patroni, which starts the server when it finds that it may."""
        self._process = spawn(
            ["python3", str(self._programs.tree / "usr/bin/patroni"), str(self.file)],
            program=_PYTHON, environment=self._programs.environment, user=self._user, folder=self._folder,
            log=self._log,
        )  # fmt: skip

    def kill_all(self) -> None:
        """End Patroni, the server and all that it started at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        while left := running_in(self.data):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)

    def stop(self) -> None:
        """In order."""
        if self._process is not None:
            end(self._process, _ENDINGS)
        self.kill_all()

    def rewound(self) -> int:
        """How often it was brought back by `pg_rewind`."""
        return self._log.since(0).count("running pg_rewind")

    async def state(self) -> dict[str, object]:
        """What Patroni says of its server; nothing while it says nothing."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            try:
                return dict((await http.get(f"http://{LOOPBACK}:{self.api_port}/patroni")).json())
            except (httpx.HTTPError, ValueError):
                return {}


@dataclass
class Watched:
    """Two servers, and who watches over them."""

    members: dict[str, Member]
    password: str
    _programs: _Programs
    _user: ServerUser | None
    _log: Log

    @property
    def url(self) -> str:
        """The address of both, as processes are given it; the database is there once somebody has made it."""
        return self._address("relais")

    @property
    def maintenance_url(self) -> str:
        """The address of the database that every server has."""
        return self._address("postgres")

    def _address(self, database: str) -> str:
        hosts = "&".join(f"host={LOOPBACK}:{member.port}" for member in self.members.values())
        return f"postgresql+asyncpg://{_SUPERUSER}:{self.password}@/{database}?{hosts}"

    async def leader(self) -> Member | None:
        """Who says that it leads and takes writes."""
        for member in self.members.values():
            if (await member.state()).get("role") == "master":
                return member
        return None

    async def is_whole(self) -> bool:
        """Whether one leads, and the other follows and is waited for."""
        states = [await member.state() for member in self.members.values()]
        return {state.get("role") for state in states} == {"master", "replica"} and any(
            state.get("sync_standby") for state in states
        )

    def change(self, **settings: int) -> None:
        """Change settings of the whole pair while it runs: `ttl`, `loop_wait`, `retry_timeout`, in seconds."""
        api = f"http://{LOOPBACK}:{next(iter(self.members.values())).api_port}/config"
        httpx.patch(api, content=json.dumps(settings), trust_env=False).raise_for_status()

    def switch_over(self) -> None:
        """As an operator does it: `patronictl switchover`."""
        file = next(iter(self.members.values())).file
        process = spawn(
            ["python3", str(self._programs.tree / "usr/bin/patronictl"), "-c", str(file), "switchover", "--force"],
            program=_PYTHON, environment=self._programs.environment, user=self._user, folder=file.parent,
            log=self._log,
        )  # fmt: skip
        assert process.wait(120) == 0, self._log.since(0)

    def said(self) -> str:
        """The last words of everything."""
        logs = sorted(self._log.path.parent.glob("*.log"))
        return "\n".join(f"== {log.name}\n" + "\n".join(log.read_text().splitlines()[-60:]) for log in logs)


@contextmanager
def a_watched_pair(*, ttl: int, loop_wait: int, retry_timeout: int) -> Iterator[Watched]:
    """Three etcd and two servers under Patroni for as long as the block runs; nothing of them stays. Times in seconds.

    Raises StackProblem where the packages cannot be had.
    """
    root = ROOT / ".relais" / f"patroni-{uuid4().hex[:8]}"
    (root / "log").mkdir(parents=True)
    user = server_user(root)
    with ExitStack() as undo:
        place = folder_for(reachable(root / "run", user), user)
        for folder in {root, place}:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        programs = _programs(place, user)
        clients = _etcd(programs, place, root / "log", user, undo)
        watched = Watched({}, secrets.token_hex(16), programs, user, Log(root / "log" / "patronictl.log"))
        for name in _NAMES:
            folder = folder_for(place / name, user)
            member = Member(name, folder, programs, user, Log(root / "log" / f"{name}.log"))
            watched.members[name] = member
            _write(
                member.file,
                _FILE.format(
                    name=name, port=member.port, api_port=member.api_port, data=member.data, programs=programs.together,
                    hosts=", ".join(f"'{LOOPBACK}:{port}'" for port in clients), loopback=LOOPBACK,
                    superuser=_SUPERUSER, password=watched.password, folder=folder, ttl=ttl, loop_wait=loop_wait,
                    retry_timeout=retry_timeout,
                ),
                user,
            )  # fmt: skip
            undo.callback(member.stop)
        for member in watched.members.values():
            member.start()
        yield watched


def fetch() -> Path:
    """Take what is missing from the distribution; the folder in which it is unpacked. Raises StackProblem."""
    return _unpacked(*_servers(server_user(ROOT / ".relais")))


def _servers(user: ServerUser | None) -> tuple[Path, PostgresPrograms]:
    """The folder of packages, and the servers that are watched over."""
    packages = reachable(ROOT / ".relais" / "packages", user)
    return packages, Programs(packages, print).postgres()


def _unpacked(packages: Path, servers: PostgresPrograms) -> Path:
    if not _PYTHON.exists():
        raise StackProblem(f"Patroni is for the distribution's Python, and there is no {_PYTHON}.")
    wanted = Wanted(
        "patroni-1",
        "Patroni and etcd",
        "They are for tests alone.",
        lambda _: [
            "patroni", "python3-etcd", "python3-dnspython", "etcd-server", "etcd-client",
            f"postgresql-client-{servers.major}",
        ],
        ("usr/bin/etcd", "usr/lib/postgresql/*/bin/pg_basebackup"),
    )  # fmt: skip
    return unpacked_packages(packages, tell=print, wanted=wanted)


def _programs(place: Path, user: ServerUser | None) -> _Programs:
    packages, servers = _servers(user)
    tree = _unpacked(packages, servers)
    together = folder_for(place / "bin", user)
    for folder in (tree / "usr/lib/postgresql" / str(servers.major) / "bin", servers.folder):
        for program in folder.iterdir():
            (together / program.name).unlink(missing_ok=True)
            (together / program.name).symlink_to(program)
    return _Programs(tree, servers, together)


def _etcd(programs: _Programs, place: Path, logs: Path, user: ServerUser | None, undo: ExitStack) -> Sequence[int]:
    """Three members that agree among themselves; the ports for clients."""
    names = ("a", "b", "c")
    peers = {name: free_port() for name in names}
    clients = {name: free_port() for name in names}
    cluster = ",".join(f"{name}=http://{LOOPBACK}:{port}" for name, port in peers.items())
    for name in names:
        log = Log(logs / f"etcd-{name}.log")
        peer, client = (f"http://{LOOPBACK}:{ports[name]}" for ports in (peers, clients))
        process = spawn(
            [
                "etcd", "--name", name, "--data-dir", str(place / f"etcd-{name}"), "--logger", "zap",
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--initial-cluster", cluster, "--initial-cluster-state", "new",
            ],
            program=programs.tree / "usr/bin/etcd", environment=programs.environment, user=user, folder=place, log=log,
        )  # fmt: skip
        undo.callback(end, process, _ENDINGS)
    heads = [f"http://{LOOPBACK}:{port}/health" for port in clients.values()]
    assert wait_until(lambda: all(map(_is_healthy, heads)), 60), "etcd did not come up"
    return list(clients.values())


def _is_healthy(head: str) -> bool:
    try:
        return '"health":"true"' in httpx.get(head, trust_env=False, timeout=1).text
    except httpx.HTTPError:
        return False


def _write(file: Path, text: str, user: ServerUser | None) -> None:
    file.write_text(text)
    file.chmod(0o600)
    if user is not None:
        os.chown(file, user.uid, user.gid)


_FILE: Final = """
scope: relais
name: {name}
restapi: {{listen: '{loopback}:{api_port}', connect_address: '{loopback}:{api_port}'}}
etcd3: {{hosts: [{hosts}]}}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: {loop_wait}
    retry_timeout: {retry_timeout}
    maximum_lag_on_failover: 0
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {{wal_log_hints: "on", synchronous_commit: "on", jit: "off", log_min_error_statement: panic,
                   log_statement: none, log_parameter_max_length: 0, log_parameter_max_length_on_error: 0,
                   max_connections: 100}}
  initdb: [{{encoding: UTF8}}, {{locale: C.UTF-8}}, data-checksums]
postgresql:
  listen: '{loopback}:{port}'
  connect_address: '{loopback}:{port}'
  data_dir: {data}
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  parameters: {{unix_socket_directories: '', password_encryption: scram-sha-256}}
  pg_hba:
    - host all all {loopback}/32 scram-sha-256
    - host replication all {loopback}/32 scram-sha-256
  authentication:
    superuser: {{username: {superuser}, password: '{password}'}}
    replication: {{username: follower, password: '{password}'}}
    rewind: {{username: rewinder, password: '{password}'}}
watchdog: {{mode: 'off'}}
"""
"""As in docs/scale.md, but for the times, the paths, and the watchdog, which this machine may not have."""
