"""A real worker process on the test's own database."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.settings import Settings
from tests.conftest import ROOT, Logins

StartWorker = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(settings: Settings, logins: Logins, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers with `RELAIS_…` settings of the test's choice; all are gone at its end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        given = {
            "RELAIS_DATABASE_URL": logins.address(settings.database_url, logins.worker),
            "RELAIS_SECRET_FILE": str(settings.secret_file),
            "RELAIS_ADDRESS_KEY_FILE": str(settings.address_key_file),
            **environment,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"], cwd=ROOT, env=inherited | given, stdout=log, stderr=log
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
    for log in sorted(tmp_path.glob("worker-*.log")):
        print(log.read_text())
