"""One house for all that is done to it, one history of all that it was asked, and the seed of both."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from secrets import token_hex

import pytest

from api.settings import ApiSettings
from tests.api.conftest import anyone, app
from tests.faults.clocks import Clock, library
from tests.faults.disk import NoDisk, SmallDisk, a_small_disk
from tests.faults.history import History
from tests.faults.house import Furnished, House, a_furnished_house, a_house

__all__ = ["anyone", "app"]

_LAST_LINES = 40


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> str:
    """What all chance in these tests is drawn from; `--fault-seed` repeats one."""
    given: str | None = request.config.getoption("--fault-seed")
    return given or token_hex(4)


@pytest.fixture(autouse=True)
def _told(seed: str) -> None:
    print(f"repeat with --fault-seed={seed}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure, the last words of everybody in the house: it is gone when the failure is read."""
    report = yield
    if report.failed:
        for house in getattr(item, "funcargs", {}).values():
            if isinstance(house, House):
                for file in sorted(house.log.glob("*.log")):
                    said = file.read_text(errors="replace").splitlines()[-_LAST_LINES:]
                    report.sections.append((file.name, "\n".join(said)))
    return report


@pytest.fixture(scope="session")
def furnished() -> Iterator[Furnished]:
    """What each house begins as."""
    with a_furnished_house() as furnished:
        yield furnished


@pytest.fixture(scope="session")
def house(furnished: Furnished) -> Iterator[House]:
    """A running house."""
    with a_house(furnished) as house:
        yield house


@pytest.fixture(scope="session")
def disk() -> Iterator[SmallDisk | None]:
    """A disk that a test can fill, where this machine gives anybody one."""
    with ExitStack() as undo:
        try:
            disk = undo.enter_context(a_small_disk(400))
        except NoDisk as reason:
            print(f"Nobody may have a file system of their own on this machine: {reason}")
            disk = None
        yield disk


@pytest.fixture(scope="session")
def clock(furnished: Furnished) -> Clock | None:
    """A clock that a test can set, where what makes it is here."""
    found = library()
    if found is None:
        return None
    clock = Clock(found, furnished.root / "clock")
    clock.set(0)
    return clock


@pytest.fixture(scope="session")
def odd_house(furnished: Furnished, disk: SmallDisk | None, clock: Clock | None) -> Iterator[House]:
    """A house whose database is on that disk and goes by that clock."""
    environment = clock.environment if clock else {}
    with a_house(furnished, disk=disk.folder if disk else None, postgres_environment=environment) as house:
        yield house


@pytest.fixture(scope="session")
def odd_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """All that the odd house was ever asked."""
    history = History(tmp_path_factory.mktemp("odd") / "history.jsonl")
    yield history
    history.close()


@pytest.fixture
def api_settings(house: House) -> ApiSettings:
    """Settings of an API in the test's own process, which a test may spoil, on the house's servers."""
    return ApiSettings(**house.settings.model_dump(exclude={"database_address"}))


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """All that the house was ever asked."""
    history = History(tmp_path_factory.mktemp("faults") / "history.jsonl")
    yield history
    history.close()
