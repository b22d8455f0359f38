"""A real worker process on the test's own database."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.settings import Settings
from tests.conftest import ROOT, Logins, environment_of

StartWorker = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(settings: Settings, logins: Logins, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers with `RELAIS_…` settings of the test's choice; all are gone at its end.

    `program` is run instead of the worker where it is given.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(program: tuple[str, ...] = ("-m", "worker"), **environment: str) -> subprocess.Popen[bytes]:
        address = {"database_url": logins.address(settings.database_url, logins.worker), "redis_url": None}
        given = environment_of(settings.model_copy(update=address)) | environment
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        process = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=given, stdout=log, stderr=log)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
    for log in sorted(tmp_path.glob("worker-*.log")):
        print(log.read_text())
