"""The API as it is served: real processes on free ports, which the test starts, signals and reads the log of."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from db.settings import Settings
from relais.embedded.ports import free_port
from tests.conftest import Logins, environment_of
from tests.forked import Running, fork
from tests.waiting import eventually

__all__ = ["ApiProcess", "StartApi", "start_api"]


@dataclass
class ApiProcess:
    """A running API and where its log is."""

    port: int
    process: Running
    log: Path
    http: httpx.AsyncClient = field(init=False)
    passing: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False)
        # A connection for each request.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.passing = httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False, limits=limits)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def status(self, path: str = "/readyz") -> int:
        """What a request without a key is answered, over a connection of its own; 0 when nobody answers."""
        try:
            return (await self.passing.get(path)).status_code
        except httpx.TransportError:
            return 0

    async def answers(self, status: int, path: str = "/readyz") -> None:
        """Come back when that is so."""

        async def so() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return await self.status(path) == status

        await eventually(so, f"{path} answers {status}", 180)

    async def ends(self) -> int:
        """Its exit code, when it has ended."""

        async def over() -> bool:
            return self.process.poll() is not None

        await eventually(over, "the process has ended", 180)
        return self.process.wait()

    def stop(self) -> None:
        """Tell it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait(10)


StartApi = Callable[..., ApiProcess]


@pytest.fixture
def start_api(settings: Settings, logins: Logins, tmp_path: Path) -> Iterator[StartApi]:
    """Starts APIs with `RELAIS_…` settings of the test's choice; all are gone at its end."""
    started: list[ApiProcess] = []

    def start(port: int | None = None, **environment: str) -> ApiProcess:
        address = {"database_url": logins.address(settings.database_url, logins.api), "redis_url": None}
        given = environment_of(settings.model_copy(update=address)) | environment
        port = port or free_port()
        log = tmp_path / f"api-{len(started)}.log"
        process = fork("api", "--port", str(port), environment=given, log=log)
        started.append(ApiProcess(port, process, log))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait(10)
        print(each.log.read_text())
