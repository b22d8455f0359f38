"""A pair of servers with a town's house on it, for all tests of this process that want one."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.db.failing_over import Paired, furnish, settings_of
from tests.db.pair import a_pair


@pytest.fixture(scope="session")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paired]:
    """Who uses it leaves it as it was: one leads, the other follows."""
    with a_pair() as pair:
        settings = settings_of(pair.url, tmp_path_factory.mktemp("pair"))
        yield Paired(pair, settings, asyncio.run(furnish(settings)))
