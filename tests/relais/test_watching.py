"""The files for those who watch: rules that fire for what they are there for, and only figures that are shown."""

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from relais.embedded.ports import free_port
from tests import promtool
from tests.api.processes import StartApi, start_api
from tests.api.test_figures import figures
from tests.conftest import ROOT
from tests.waiting import eventually
from tests.worker.conftest import StartWorker, start_worker

__all__ = ["start_api", "start_worker"]

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
TESTS = ROOT / "deploy" / "prometheus" / "alerts_test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "relais.json"


@pytest.fixture(scope="module")
def checker() -> Path:
    """Promtool."""
    program = promtool.found()
    if program is None:
        pytest.skip("promtool is not here; `python -m tests.promtool` fetches it")
    return program


def checked(checker: Path, rules: str, folder: Path) -> str:
    """What promtool says of these rules; empty when all is well."""
    (folder / RULES.name).write_text(rules)
    (folder / TESTS.name).write_text(TESTS.read_text())
    for command in (["check", "rules", RULES.name], ["test", "rules", TESTS.name]):
        done = subprocess.run([checker, *command], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stdout + done.stderr
    return ""


def test_each_alert_fires_for_what_it_is_there_for_and_none_on_a_calm_evening(checker: Path, tmp_path: Path) -> None:
    assert checked(checker, RULES.read_text(), tmp_path) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("max(relais_needs_parked) > 0", "max(relais_needs_parked) > 9"),
        ("max(relais_oldest_due_seconds) > 60", "max(relais_oldest_due_seconds) > 0"),
        ("max(relais_feed_lag_seconds) > 60", "max(relais_feed_lag_seconds) >"),
    ],
    ids=["never fires", "always fires", "is no expression"],
)
def test_control_a_rule_that_is_wrong_is_found(checker: Path, tmp_path: Path, right: str, wrong: str) -> None:
    assert right in RULES.read_text()
    assert checked(checker, RULES.read_text().replace(right, wrong), tmp_path) != ""


def test_each_alert_says_what_happened_what_is_safe_and_what_to_do() -> None:
    rules = YAML(typ="safe").load(RULES.read_text())["groups"][0]["rules"]
    assert len(rules) > 10
    for rule in rules:
        assert set(rule["annotations"]) == {"summary", "safe", "todo"}, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


async def test_every_figure_that_is_named_is_shown(start_api: StartApi, start_worker: StartWorker) -> None:
    ports = free_port(), free_port()
    api = start_api(RELAIS_METRICS_PORT=str(ports[0]))
    start_worker(RELAIS_METRICS_PORT=str(ports[1]))
    await api.answers(200)

    async def looked() -> dict[str, float] | None:
        try:
            found = await figures(ports[1])
        except httpx.TransportError:
            return None
        return found if any("worker_looks" in name for name in found) else None

    shown = {
        name.split(" ")[0] for name in [*await figures(ports[0]), *await eventually(looked, "a worker looks", 180)]
    }
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    named = set(re.findall(r"\brelais_\w+", asked + RULES.read_text()))
    assert named <= shown
    assert len(named) > 20
    # And nothing is shown that nobody looks at.
    ours = {name for name in shown if name.startswith("relais_") and not re.search(r"_(created|count|sum)$", name)}
    assert ours <= named
