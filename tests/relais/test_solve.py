"""`relais solve`: the page's example, and what a tired person is told about a wrong file."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench.weeks import week
from relais.command import main
from relais.embedded.processes import wait_until
from tests.conftest import ROOT

Json = dict[str, Any]
EXAMPLES: list[Json] = [
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", (ROOT / "docs/solve.md").read_text(), re.DOTALL)
]


def solve(folder: Path, problem: Json | str, *options: str) -> Result:
    file = folder / "problem.json"
    file.write_text(problem if isinstance(problem, str) else json.dumps(problem))
    return CliRunner().invoke(main, ["solve", str(file), "--deadline", "0.5", *options])


def test_the_example_of_the_page_gives_the_plan_of_the_page(tmp_path: Path) -> None:
    problem, plan = EXAMPLES
    out = tmp_path / "plan.json"
    # It is proved best in a moment; a busy machine may take longer for it.
    assert solve(tmp_path, problem, "--out", str(out), "--deadline", "20").exit_code == 0
    written = json.loads(out.read_text())
    assert written["seconds"] >= 0
    for figure in ("objective", "bound", "gap"):
        assert written[figure] == pytest.approx(plan[figure])
    for exact in ("assignments", "value", "method"):
        assert written[exact] == plan[exact]
    assert written.keys() == plan.keys()


@pytest.mark.parametrize("method", ["greedy", "local", "lp", "exact", "auto"])
def test_the_terminal_shows_the_plan_and_nothing_else(tmp_path: Path, method: str) -> None:
    result = solve(tmp_path, EXAMPLES[0], "--method", method)
    assert result.exit_code == 0
    assert {each["need"] for each in json.loads(result.stdout)["assignments"]} == {0, 1}


@pytest.mark.parametrize("places", ["known", "unknown"])
def test_a_picture_is_drawn(tmp_path: Path, places: str) -> None:
    problem = json.loads(json.dumps(EXAMPLES[0]))
    if places == "known":
        for number, each in enumerate(problem["needs"] + problem["offers"]):
            each["at"] = [6.6 + number / 100, 44.9]
    picture = tmp_path / "map.png"
    assert solve(tmp_path, problem, "--plot", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_several_processes_plan_what_one_does(tmp_path: Path) -> None:
    shown = json.loads(solve(tmp_path, EXAMPLES[0], "--processes", "2").stdout)
    assert shown["assignments"] == EXAMPLES[1]["assignments"]


def test_weights_of_the_file_decide(tmp_path: Path) -> None:
    dear = EXAMPLES[0] | {"weights": {"tier": [10.0, 10.0, 10.0], "km": 100.0}}
    assert json.loads(solve(tmp_path, dear).stdout)["assignments"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nights": 0}, "nights: "),
        ({"candidates": [[0, 7, 3]]}, "candidates[0]: there is no need 0 or no offer 7"),
        ({"candidates": [[0, 0, 3], [0, 0, 4]]}, "need 0 and offer 0 are paired more than once"),
        ({"offers": [{"id": "gym", "capacity": [4]}]}, "offers[0]: 1 capacities for 2 nights"),
        ({"names": []}, "names: "),
        ({"needs": [{"id": 1, "people": 0, "tier": 3, "first_night": 0, "last_night": 0}]}, "needs[0].people: "),
        ({"needs": [{"id": 1, "people": 1, "tier": 0, "first_night": 1, "last_night": 0}]}, "its nights 1 to 0"),
    ],
)
def test_a_wrong_file_is_told_by_its_entry_and_nothing_is_solved(tmp_path: Path, change: Json, said: str) -> None:
    result = solve(tmp_path, EXAMPLES[0] | change)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.parametrize("written", ["", "[]", "{", "\x00"])
def test_what_is_no_problem_file_is_told(tmp_path: Path, written: str) -> None:
    result = solve(tmp_path, written)
    assert result.exit_code == 2
    assert "does not describe a problem" in result.stderr


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["solve", str(tmp_path / "none.json")])
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


@pytest.fixture
def thinking(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that thinks for two minutes about what is not proved sooner, in a session of its own."""
    problem = week(600, 200, 1)
    file = tmp_path / "week.json"
    needs = zip(problem.people, problem.tier, problem.first_night, problem.last_night, strict=True)
    file.write_text(
        json.dumps(
            {
                "nights": 7,
                "needs": [
                    {"id": at, "people": int(p), "tier": int(t), "first_night": int(f), "last_night": int(last)}
                    for at, (p, t, f, last) in enumerate(needs)
                ],
                "offers": [{"id": at, "capacity": row} for at, row in enumerate(problem.capacity.tolist())],
                "candidates": list(
                    zip(problem.need.tolist(), problem.offer.tolist(), problem.km.tolist(), strict=True)
                ),
            }
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "relais", "solve", str(file), "--deadline", "120", "--processes", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until(lambda: len(helpers(process.pid)) == 2 or process.poll() is not None, 60)
    yield process
    process.kill()
    process.wait()


def members(session: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def helpers(session: int) -> list[int]:
    """Those of them that think."""
    return [each for each in members(session) if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def test_ctrl_c_ends_the_thinking_with_the_best_plan_so_far(thinking: subprocess.Popen[str]) -> None:
    os.killpg(thinking.pid, signal.SIGINT)
    out, said = thinking.communicate(timeout=60)
    assert thinking.returncode == 0, said
    assert "Ending with the best plan so far" in said
    assert "Traceback" not in said
    assert len(json.loads(out)["assignments"]) > 100
    assert wait_until(lambda: not members(thinking.pid), 10), "something is left running"


def test_ctrl_c_twice_leaves_with_a_line(thinking: subprocess.Popen[str]) -> None:
    # Its helpers stand still, so that it cannot be done before the second.
    for helper in helpers(thinking.pid):
        os.kill(helper, signal.SIGSTOP)
    os.killpg(thinking.pid, signal.SIGINT)
    assert thinking.stderr is not None
    while "Ending with" not in thinking.stderr.readline():
        assert thinking.poll() is None
    os.kill(thinking.pid, signal.SIGINT)
    out, said = thinking.communicate(timeout=60)
    assert (thinking.returncode, out) == (128 + signal.SIGINT, "")
    assert said.strip() == "Stopped."
    assert wait_until(lambda: not members(thinking.pid), 10), "something is left running"


def test_no_process_outlives_a_command_that_was_killed(thinking: subprocess.Popen[str]) -> None:
    thinking.kill()
    assert wait_until(lambda: not members(thinking.pid), 10), "something is left running"
