"""A dump, restored into a new server as docs/backup.md says for the containers: all is there, and the house stands.

Only with `--long`: it fetches PostgreSQL's client programs, which the servers do not need.
"""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from typer.testing import CliRunner

from db import feed
from db.connection import connect, transaction
from db.migrations import upgrade
from db.settings import Settings
from matching.refusals import FeedBroken
from relais.command import main
from relais.embedded import StackProblem, running_stack
from relais.embedded.packages import library_environment
from relais.finding import State
from tests.conftest import ROOT
from tests.db import patroni
from tests.db.acts import rows
from tests.evening import evening
from tests.places import add_towns

_RESTORE = ("-d", "relais", "--clean", "--if-exists", "--exit-on-error", "--single-transaction")
_TABLES = """
    select c.relname as name, (xpath('/row/n/text()',
               query_to_xml(format('select count(*) as n from %I', c.relname), false, true, '')))[1]::text as n
      from pg_class c join pg_namespace s on s.oid = c.relnamespace
     where s.nspname = 'public' and c.relkind = 'r' and c.relname <> 'feed_mark' order by 1
"""


@pytest.fixture
def servers(*, long: bool) -> Iterator[tuple[str, str]]:
    """Two new servers."""
    if not long:
        pytest.skip("it fetches more programs and starts two servers: run with --long")
    # pytest's own folders can't be entered by other users.
    folder = Path(tempfile.mkdtemp(prefix="relais-stack-"))
    folder.chmod(0o755)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        yield tuple(  # type: ignore[misc]
            undo.enter_context(
                running_stack(folder / name, packages=ROOT / ".relais" / "packages", tell=lambda _: None, redis_url="")
            ).database_url
            for name in ("old", "new")
        )


@pytest.fixture
def clients() -> Path:
    """PostgreSQL's client programs, unpacked."""
    try:
        return patroni.fetch()
    except StackProblem as problem:
        pytest.skip(str(problem))


async def test_a_dump_is_restored_into_a_new_server(
    servers: tuple[str, str],
    clients: Path,
    secret_files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    old, new = servers
    told: dict[str, Any] = {"secret_file": secret_files[0], "address_key_file": secret_files[1]}
    engine, restored = [connect(Settings(database_url=url, **told), "test") for url in servers]
    await upgrade(engine)
    async with transaction(engine) as tx:
        await add_towns(tx)
    await evening(engine, Settings(database_url=old, **told))
    async with transaction(engine) as tx:
        before = await feed.now(tx)
    dump = tmp_path / "dump"
    dump.write_bytes(_call(clients, "pg_dump", old, "-Fc", "relais"))
    for name, value in (("DATABASE_URL", new), ("SECRET_FILE", secret_files[0]), ("ADDRESS_KEY_FILE", secret_files[1])):
        monkeypatch.setenv(f"RELAIS_{name}", str(value))
    await _relais("migrate")
    _call(clients, "pg_restore", new, *_RESTORE, str(dump))
    await _relais("migrate")
    await _relais("tombstones", "reapply")
    await _relais("feed", "begin-anew", "--yes")
    assert await rows(restored, _TABLES) == await rows(engine, _TABLES)
    assert "0 broken" in await _relais("audit", "verify")
    with pytest.raises(FeedBroken):
        async with transaction(restored) as tx:
            await feed.read_for_all(tx, before, 10)
    found = [line for line in (await _relais("doctor", ends=1)).splitlines() if line.startswith(State.TO_DO)]
    assert ["No worker is connected" in line for line in found] == [True], found
    for each in (engine, restored):
        await each.dispose()


def _call(clients: Path, program: str, url: str, *arguments: str) -> bytes:
    """What a program says that speaks to this server."""
    at = urlsplit(url)
    (place,) = clients.glob(f"usr/lib/postgresql/*/bin/{program}")
    environment = {
        **library_environment(clients),
        "PGHOST": str(at.hostname),
        "PGPORT": str(at.port),
        "PGUSER": str(at.username),
        "PGPASSWORD": unquote(str(at.password)),
    }
    done = subprocess.run([place, *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def _relais(*words: str, ends: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, list(words))
    assert result.exit_code == ends, (words, result.output)
    return result.output
