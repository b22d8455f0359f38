"""A real worker process on the test's own database."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.settings import Settings
from tests.conftest import Logins, environment_of
from tests.forked import Running, fork

StartWorker = Callable[..., Running]


@pytest.fixture
def start_worker(settings: Settings, logins: Logins, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers with `RELAIS_…` settings of the test's choice; all are gone at its end.

    `module` is run instead of the worker where it is given, with its arguments.
    """
    started: list[Running] = []

    def start(module: str = "worker", *arguments: str, **environment: str) -> Running:
        address = {"database_url": logins.address(settings.database_url, logins.worker), "redis_url": None}
        given = environment_of(settings.model_copy(update=address)) | environment
        log = tmp_path / f"worker-{len(started)}.log"
        process = fork(module, *arguments, environment=given, log=log)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
    for log in sorted(tmp_path.glob("worker-*.log")):
        print(log.read_text())
