"""The embedded stack: real servers, started, killed and started again; nothing of them stays running."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest
from redis import Redis as RedisClient
from redis.exceptions import AuthenticationError

from relais.embedded import Stack, StackProblem, running_stack, running_urls, stop_stack, users
from relais.embedded.packages import read_requirements, unpacked_packages, wanted_packages
from relais.embedded.ports import free_port
from relais.embedded.postgres import mark_of_postgres
from relais.embedded.processes import running_with, wait_until
from relais.embedded.programs import newest_postgres
from relais.embedded.redis import mark_of_redis

CHECKOUT = Path(__file__).parents[2]
PACKAGES = CHECKOUT / ".relais/packages"
OWNER = """
import json, signal, sys
from pathlib import Path
from relais.embedded import running_stack
# Whoever started the tests may have it ignored (nohup), and what is ignored is inherited.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
with running_stack(Path(sys.argv[1]), packages=Path(sys.argv[2]), tell=lambda _: None) as stack:
    facts = {"database_url": stack.database_url, "redis_url": stack.redis_url}
    print(json.dumps({**facts, "postgres": stack.postgres.pid, "redis": stack.redis.pid}), flush=True)
    while True:
        signal.pause()
"""

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A folder for a stack that was never started; pytest's own folders can't be entered by other users."""
    folder = Path(tempfile.mkdtemp(prefix="relais-stack-"))
    folder.chmod(0o755)
    try:
        yield folder / "stack"
        stop_stack(folder / "stack")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="relais-stack-"))
    folder.chmod(0o755)
    with start(folder / "stack"):
        pass
    subprocess.run(["/bin/cp", "-a", folder / "stack", folder / "made"], check=True)
    with start(folder / "stack") as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def root(stack: Stack, fresh: Path) -> Path:
    """A stack that was started once before: saves each test the making of its cluster."""
    assert stack.postgres
    subprocess.run(["/bin/cp", "-a", stack.postgres.log.path.parents[2] / "made", fresh], check=True)
    return fresh


def start(root: Path, **given: str) -> AbstractContextManager[Stack]:
    return running_stack(root, packages=PACKAGES, tell=lambda _: None, **given)


def servers_of(root: Path) -> list[int]:
    return running_with(mark_of_postgres(root / "postgres")) + running_with(mark_of_redis(root / "redis"))


def begin(root: Path, user: int | None = None) -> subprocess.Popen[str]:
    """Another process that starts the stack at `root`, in a session of its own."""
    # Root's own Python may lie where nobody else may enter.
    python = sys.executable if user is None else "/usr/bin/python3"
    libraries = os.pathsep.join([str(CHECKOUT), str(Path(asyncpg.__file__).parents[1])])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": libraries, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [python, "-c", OWNER, str(root), str(PACKAGES)],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


@contextmanager
def owner_process(root: Path, user: int | None = None) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Another process that owns the stack at `root`; it and the URLs."""
    process = begin(root, user)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the owner ended before its stack was up"
        yield process, json.loads(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url: str, *statements: str) -> object:
    """Run the statements one after the other over one connection; the value of the last."""

    async def go() -> object:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(go())


def test_the_nearest_place_is_found_through_postgis(stack: Stack) -> None:
    nearest = ask(
        stack.database_url,
        "create extension if not exists postgis",
        "create table town (name text, at geography(point))",
        """insert into town values ('Oulx', 'point(6.833 45.033)'), ('Gap', 'point(6.08 44.56)'),
                                   ('Menton', 'point(7.5 43.78)')""",
        "create index on town using gist (at)",
        "select name from town order by at <-> 'point(6.6347 44.8994)'::geography limit 1",
    )
    assert nearest == "Oulx"


@pytest.mark.parametrize("extension", ["btree_gist", "pg_trgm", "unaccent", "pgcrypto"])
def test_the_extensions_that_migrations_ask_for_are_there(stack: Stack, extension: str) -> None:
    installed = ask(
        stack.database_url,
        f"create extension if not exists {extension}",
        "select array_agg(extname::text) from pg_extension",
    )
    assert isinstance(installed, list)
    assert extension in installed


def test_what_was_committed_is_on_the_disk_before_it_is_acknowledged(stack: Stack) -> None:
    shown = [ask(stack.database_url, f"show {name}") for name in ("fsync", "synchronous_commit", "timezone", "jit")]
    assert shown in (["on", "on", "UTC", "off"], ["on", "on", "GMT", "off"])


def test_the_servers_answer_nobody_without_the_password(stack: Stack) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(stack.database_url.replace("relais:", "relais:x", 1), "select 1")
    stranger = RedisClient.from_url(stack.redis_url.replace("redis://:", "redis://:x"))
    with stranger, pytest.raises(AuthenticationError):
        stranger.ping()


def test_passwords_stand_in_no_command_line_and_in_no_file_that_others_can_read(stack: Stack) -> None:
    assert stack.postgres
    assert stack.redis
    assert stack.postgres.pid
    assert stack.redis.pid
    passwords = [url.split("@")[0].rsplit(":", 1)[1] for url in (stack.database_url, stack.redis_url)]
    for pid in (stack.postgres.pid, stack.redis.pid):
        line = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(password in line for password in passwords)
    root = stack.postgres.log.path.parents[1]
    open_to_others = [file for file in root.rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
    holders = [file for file in open_to_others if any(word.encode() in file.read_bytes() for word in passwords)]
    assert (root / "postgres.password").exists()
    assert holders == []


def test_no_value_that_was_sent_is_logged(stack: Stack) -> None:
    assert stack.postgres
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        ask(stack.database_url, "select 'Amina-Grenoble'::text::integer")
    with pytest.raises(asyncpg.UniqueViolationError):
        ask(
            stack.database_url,
            "create temp table t (a text unique)",
            "insert into t values ('Amina'), ('Amina')",
        )
    assert "Amina" not in stack.postgres.log.path.read_text()


def test_a_killed_server_comes_back_at_the_same_address_with_what_was_committed(stack: Stack) -> None:
    assert stack.postgres
    assert stack.redis
    ask(stack.database_url, "create table kept as select 7 as seven", "select 1")
    stack.postgres.kill()
    stack.redis.kill()
    assert (stack.postgres.pid, stack.redis.pid) == (None, None)
    stack.postgres.start()
    stack.redis.start()
    assert ask(stack.database_url, "select seven from kept") == 7
    with RedisClient.from_url(stack.redis_url) as client:
        assert client.ping()


def test_a_second_start_is_quick_and_finds_the_data(root: Path) -> None:
    with start(root) as stack:
        ask(stack.database_url, "create table kept as select 7 as seven", "select 1")
    assert servers_of(root) == []
    began = time.monotonic()
    with start(root) as stack:
        seconds = time.monotonic() - began
        assert ask(stack.database_url, "select seven from kept") == 7
    assert seconds < 1.5


def test_two_stacks_with_folders_of_their_own_run_side_by_side(stack: Stack, root: Path) -> None:
    with start(root) as other:
        assert other.database_url != stack.database_url
        assert (ask(other.database_url, "select 1"), ask(stack.database_url, "select 2")) == (1, 2)


def test_what_a_killed_owner_left_running_does_not_block_the_next_start(root: Path) -> None:
    with owner_process(root) as (owner, before):
        ask(before["database_url"], "create table kept as select 7 as seven", "select 1")
        owner.kill()
        owner.wait()
        left = servers_of(root)
        assert left, "the servers outlive a killed owner, else this test shows nothing"
        with start(root) as stack:
            assert ask(stack.database_url, "select seven from kept") == 7
            assert not set(left) & set(servers_of(root))
    assert servers_of(root) == []


def test_a_left_over_is_stopped_by_hand_too(root: Path) -> None:
    with owner_process(root) as (owner, _):
        owner.kill()
        owner.wait()
        stop_stack(root)
        assert servers_of(root) == []


def test_one_that_just_begins_is_not_stopped_and_nobody_else_is(fresh: Path) -> None:
    fresh.mkdir()
    with (fresh / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StackProblem, match="just starting"):
            stop_stack(fresh)


def test_a_stale_number_that_now_belongs_to_a_stranger_does_not_block_a_start(root: Path) -> None:
    with start(root):
        pass
    lock = root / "postgres/data/postmaster.pid"
    owner = (root / "postgres/data").stat()
    with ExitStack() as undo:
        stranger = subprocess.Popen(["/bin/sleep", "60"], user=owner.st_uid)
        undo.callback(stranger.wait)
        undo.callback(stranger.kill)
        lock.write_text(f"{stranger.pid}\n{root}/postgres/data\n1\n1\n\n127.0.0.1\n0 0\nready\n")
        os.chown(lock, owner.st_uid, owner.st_gid)
        with start(root) as stack:
            assert ask(stack.database_url, "select 1") == 1
        assert stranger.poll() is None


def test_a_start_that_was_cut_short_leaves_no_half_made_cluster(fresh: Path) -> None:
    half = fresh / "postgres/data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15")
    with start(fresh) as stack:
        assert ask(stack.database_url, "select 1") == 1


def test_a_taken_port_is_left_to_whoever_has_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answers = [taken.getsockname()[1], free_port(), taken.getsockname()[1], free_port()]
        expected = answers[1], answers[3]
        monkeypatch.setattr("relais.embedded.server.free_port", lambda: answers.pop(0))
        with start(root) as stack:
            assert stack.database_url.endswith(f":{expected[0]}/relais")
            assert stack.redis_url.endswith(f":{expected[1]}/0")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_owner_leaves_nothing_running(root: Path, sent: signal.Signals) -> None:
    with owner_process(root) as (owner, _):
        assert servers_of(root)
        os.killpg(owner.pid, sent)  # as a terminal does: to the owner and whatever shares its group
        assert owner.wait(20) != 0
        assert servers_of(root) == []
        assert running_urls(root) is None


def test_ctrl_c_in_the_middle_of_the_first_start_leaves_nothing_running(fresh: Path) -> None:
    with begin(fresh) as owner:
        assert wait_until((fresh / "postgres/data.new").exists, 20)
        os.killpg(owner.pid, signal.SIGINT)
        assert owner.wait(20) != 0
    assert servers_of(fresh) == []
    with start(fresh) as stack:
        assert ask(stack.database_url, "select 1") == 1


def test_a_second_owner_is_told_who_runs_the_stack_and_others_find_it(root: Path) -> None:
    with owner_process(root) as (owner, urls):
        with pytest.raises(StackProblem, match=rf"already running \(process {owner.pid}\)"), start(root):
            pass
        found = running_urls(root)
        assert found is not None
        assert (found.database_url, found.redis_url) == (urls["database_url"], urls["redis_url"])
        assert stat.S_IMODE((root / "stack.json").stat().st_mode) == 0o600
        stop_stack(root)
        assert wait_until(lambda: owner.poll() is not None, 5)
        assert servers_of(root) == []


def test_configured_servers_are_used_as_they_are_and_nothing_is_started(fresh: Path) -> None:
    with start(fresh, database_url="postgresql+asyncpg://db/relais", redis_url="redis://doorbell/1") as stack:
        assert stack == Stack("postgresql+asyncpg://db/relais", "redis://doorbell/1", None, None)
    assert not fresh.exists()


def test_with_one_server_configured_only_the_other_is_started(fresh: Path) -> None:
    with start(fresh, database_url="postgresql+asyncpg://db/relais") as stack:
        assert stack.database_url == "postgresql+asyncpg://db/relais"
        assert stack.postgres is None
        assert running_with(mark_of_postgres(fresh / "postgres")) == []
        assert RedisClient.from_url(stack.redis_url).ping()


@only_as_root
def test_root_starts_servers_that_are_not_root(stack: Stack) -> None:
    assert stack.postgres
    assert stack.redis
    owners = [Path(f"/proc/{server.pid}").stat().st_uid for server in (stack.postgres, stack.redis)]
    assert 0 not in owners


@only_as_root
def test_under_a_folder_that_only_root_may_enter_the_data_lies_where_the_servers_reach_it(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = fresh.parent / "outside"
    monkeypatch.setattr(users, "OUTSIDE", outside)
    private = fresh / "private"
    private.mkdir(parents=True, mode=0o700)
    for _ in range(2):
        with start(private / "stack") as stack:
            assert ask(stack.database_url, "select 1") == 1
            assert Path(str(ask(stack.database_url, "show data_directory"))).is_relative_to(outside)
    stop_stack(private / "stack")


@only_as_root
def test_an_ordinary_user_starts_the_stack_without_root(fresh: Path) -> None:
    nobody = 65534
    fresh.mkdir()
    os.chown(fresh, nobody, nobody)
    with owner_process(fresh, user=nobody) as (owner, urls):
        assert Path(f"/proc/{owner.pid}").stat().st_uid == nobody
        assert ask(urls["database_url"], "create extension postgis", "select 1") == 1
        owner.terminate()
        owner.wait(20)
    assert {file.stat().st_uid for file in fresh.rglob("*")} == {nobody}


@only_as_root
def test_with_sudo_in_somebodys_checkout_the_files_stay_theirs(fresh: Path) -> None:
    nobody = 65534
    fresh.mkdir()
    os.chown(fresh, nobody, nobody)
    with start(fresh / "state/.relais") as stack:
        assert ask(stack.database_url, "select 1") == 1
    assert {file.stat().st_uid for file in fresh.rglob("*")} == {nobody}


def test_data_of_another_postgresql_is_left_alone(root: Path) -> None:
    with start(root):
        pass
    version = root / "postgres/data/PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(StackProblem, match="written by PostgreSQL 9"), start(root):
        pass


def test_without_the_distributions_packages_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "apt.conf"
    sources.write_text('Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(sources))
    with pytest.raises(StackProblem, match="sudo apt-get install postgresql-postgis redis-server"):
        unpacked_packages(tmp_path / "packages", tell=lambda _: None)
    assert [file.name for file in (tmp_path / "packages").iterdir()] == ["lock"]


def test_a_postgresql_without_postgis_is_not_taken(tmp_path: Path) -> None:
    programs = tmp_path / "lib/postgresql/15/bin"
    programs.mkdir(parents=True)
    extensions = tmp_path / "share/postgresql/15/extension"
    extensions.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (programs / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.20 (Debian)'\n")
        (programs / name).chmod(0o755)
    for name in ("btree_gist", "pg_trgm", "unaccent", "pgcrypto"):
        (extensions / f"{name}.control").touch()
    assert newest_postgres([programs], {}) is None
    (extensions / "postgis.control").touch()
    found = newest_postgres([programs], {})
    assert found is not None
    assert found.major == 15


LISTING = """\
postgresql-15-postgis-3
  Depends: postgresql-15
  Depends: libgdal32
  Depends: libgeos-c1v5
 |Depends: libjson-c5
  Depends: libjson-c9
libgeos-c1v5
  Depends: libgeos3.11.1
  PreDepends: <some-abi>
    libabi1
    libabi2
libgdal32
  Depends: libpoppler126
postgresql-15
  Depends: libllvm14
  Depends: libpq5
"""


def test_what_a_server_never_loads_is_not_fetched() -> None:
    wanted = wanted_packages(["postgresql-15-postgis-3"], read_requirements(LISTING), {"libpq5"})
    assert wanted == [
        "libabi1", "libgeos-c1v5", "libgeos3.11.1", "libjson-c5", "postgresql-15", "postgresql-15-postgis-3",
    ]  # fmt: skip


def test_an_installed_alternative_is_enough_but_our_own_programs_are_always_fetched() -> None:
    installed = {"libjson-c9", "libgeos-c1v5", "libpq5", "postgresql-15"}
    wanted = wanted_packages(["postgresql-15-postgis-3"], read_requirements(LISTING), installed)
    assert wanted == ["postgresql-15", "postgresql-15-postgis-3"]
