"""What dies is told and started again; what dies again and again ends the house."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from relais.desk import Desk, DeskProblem
from relais.embedded import StackProblem
from relais.embedded.postgres import mark_of_postgres
from relais.embedded.processes import running_in, running_with, wait_until
from relais.embedded.redis import mark_of_redis
from relais.region import Towns
from relais.supervision import MOST_DEATHS, Supervision
from relais.up import end_house
from tests.conftest import ROOT

_PATIENCE_SECONDS = 120
_SERVING = """
import sys
from pathlib import Path
from rich.console import Console
from relais.account import Account
from relais.demo import Manner, play
from relais.region import COUNTRIES
from relais.story import Pace
from relais.up import in_words

account = Account(Console())
with in_words(account):
    raise SystemExit(play(Path(sys.argv[1]), account, Manner(COUNTRIES, Pace(beat=0.0, patience=2.0), serves=True)))
"""


class Mortal:
    """A ward that dies when it is told to."""

    name = "The bell"
    log_file = "bell.log"

    def __init__(self) -> None:
        self.starts = 0
        self.starts_in_vain = 0
        self.dead = False

    def ending(self) -> str | None:
        return "signal SIGKILL" if self.dead else None

    def start_again(self) -> None:
        self.starts += 1
        if self.starts_in_vain:
            self.starts_in_vain -= 1
            raise StackProblem("It did not start.")
        self.dead = False


class Looked:
    """A supervision of one ward, with a clock that the test moves and all that was told."""

    def __init__(self) -> None:
        self.ward = Mortal()
        self.now = 0.0
        self.told: list[str] = []
        self.supervision = Supervision([self.ward], self.told.append, clock=lambda: self.now)

    def at(self, seconds: float) -> None:
        self.now = seconds
        self.supervision.look()


def test_a_death_is_told_and_mended_after_a_pause() -> None:
    looked = Looked()
    looked.at(0)
    assert looked.told == []
    looked.ward.dead = True
    looked.at(1)
    assert "The bell has ended by itself (signal SIGKILL)" in looked.told[0]
    assert "acknowledged is safe" in looked.told[0]
    looked.at(1.4)
    assert looked.ward.starts == 0
    looked.at(1.5)
    assert looked.ward.starts == 1
    assert looked.told[1:] == ["The bell was started again."]


def test_the_pause_grows_and_too_many_deaths_in_a_minute_end_it() -> None:
    looked, pauses = Looked(), []
    for _ in range(MOST_DEATHS - 1):
        looked.ward.dead = True
        looked.supervision.look()
        died = looked.now
        while looked.ward.dead:
            looked.at(looked.now + 0.25)
        pauses.append(looked.now - died)
    assert pauses == [0.5, 1, 2, 4]
    looked.ward.dead = True
    with pytest.raises(StackProblem, match=r"5th time.*not started again.*bell\.log"):
        looked.supervision.look()


def test_deaths_that_lie_far_apart_never_end_it() -> None:
    looked = Looked()
    for number in range(3 * MOST_DEATHS):
        looked.ward.dead = True
        looked.at(number * 100)
        looked.at(number * 100 + 0.5)
    assert looked.ward.starts == 3 * MOST_DEATHS


def test_a_start_in_vain_counts_as_a_death() -> None:
    looked = Looked()
    looked.ward.starts_in_vain = 100
    looked.ward.dead = True
    for second in range(8):
        looked.at(second)
    with pytest.raises(StackProblem, match="could not be started"):
        looked.at(8)
    assert looked.ward.starts == MOST_DEATHS - 1


class Served:
    """A house of its own that serves, with its own servers, and all that it said so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = uuid4().hex
        self.output = root.with_suffix(".txt")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVING, str(root)],
                env={**environment, "PYTHONPATH": str(ROOT), "RELAIS_TEST_MARK": self.mark, "COLUMNS": "200"},
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        return self.output.read_text()

    def desk(self) -> Desk:
        """The desk of the coordination in the mountains, which the demonstration writes first."""
        facts = json.loads((self.root / "demo.json").read_text())
        return Desk(facts["url"], facts["organizations"][0]["key"], "Coordination")

    def pids(self, who: str) -> list[int]:
        match who:
            case "PostgreSQL":
                return running_with(mark_of_postgres(self.root / "postgres"))
            case "Redis":
                return running_with(mark_of_redis(self.root / "redis"))
        words = {"The API": b"-m\0api\0", "The worker": b"-m\0worker"}[who]
        return [pid for pid in running_with(words) if self._ours(pid)]

    def kill(self, who: str) -> None:
        """Kill it as a power cut would, and wait until its end and its new start were told."""
        (victim,) = self.pids(who)
        os.kill(victim, signal.SIGKILL)
        assert wait_until(lambda: f"{who} has ended by itself (signal SIGKILL)" in self.said(), 10), self.said()
        assert wait_until(lambda: f"{who} was started again" in self.said(), 30), self.said()
        assert self.pids(who) != [victim]

    def everything(self) -> list[int]:
        named = [pid for who in ("PostgreSQL", "Redis", "The API", "The worker") for pid in self.pids(who)]
        return [*named, *running_in(self.root / "postgres" / "data")]

    def _ours(self, pid: int) -> bool:
        try:
            return self.mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False


@pytest.fixture
def served() -> Iterator[Served]:
    # Under the checkout's own folder, where its packages are found.
    root = ROOT / ".relais" / f"house-{uuid4().hex[:8]}"
    root.parent.mkdir(exist_ok=True)
    house = Served(root)
    try:
        yield house
    finally:
        house.process.kill()
        house.process.wait()
        end_house(root)
        shutil.rmtree(root, ignore_errors=True)
        house.output.unlink()


def need(category: str) -> dict[str, object]:
    """One adult, tomorrow night in Briançon."""
    evening = datetime.now(ZoneInfo("Europe/Paris")).replace(hour=20, minute=0, second=0, microsecond=0)
    starts = evening + timedelta(days=1)
    return {
        "category": category,
        "town": Towns.BRIANCON.id,
        "people": {"adults": 1, "minors": 0},
        "from": starts.isoformat(),
        "until": (starts + timedelta(hours=12)).isoformat(),
        "urgency": "vital",
    }


def acknowledges_again(acknowledged: list[UUID]) -> None:
    """Wait until one more need was acknowledged."""
    before = len(acknowledged)
    assert wait_until(lambda: len(acknowledged) > before, 20)


def places_are_held(desk: Desk) -> bool:
    """Whether a need that is posted now gets a place."""
    try:
        posted = desk.post_need(need("shelter"), 5)
        return bool(desk.wait_for(posted.id, lambda seen: bool(seen.allocations), 15).allocations)
    except DeskProblem:
        return False


def test_the_house_stands_after_each_of_the_four_was_killed_while_needs_were_posted(served: Served) -> None:
    assert wait_until(lambda: "until you press Ctrl-C" in served.said(), _PATIENCE_SECONDS), served.said()
    acknowledged: list[UUID] = []
    done = threading.Event()

    def post_on_and_on() -> None:
        desk = served.desk()
        while not done.wait(0.1):
            try:
                acknowledged.append(desk.post_need(need("respite"), 0).id)
            except DeskProblem:
                continue  # refused or unreachable: not acknowledged
        desk.close()

    posting = threading.Thread(target=post_on_and_on)
    posting.start()
    desk = served.desk()
    try:
        for who in ("PostgreSQL", "Redis", "The API", "The worker"):
            acknowledges_again(acknowledged)
            served.kill(who)
            assert wait_until(lambda: places_are_held(desk), 20), (who, served.said())
    finally:
        done.set()
        posting.join()
    assert {desk.need(each).id for each in acknowledged} == set(acknowledged)
    desk.close()
    os.kill(served.pids("PostgreSQL")[0], signal.SIGKILL)
    assert wait_until(lambda: served.said().count("PostgreSQL has ended by itself") == 2, 10)
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(30) == 128 + signal.SIGINT, served.said()
    assert "Traceback" not in served.said()
    assert served.everything() == []
