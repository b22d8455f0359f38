"""A plugin of pytest for `tests.no_route`: writes down during which tests something tried to leave.

Tests that run side by side share the count, so that two may be named for what one of them did.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.no_route import LEFT_DURING, attempts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before = attempts()
    yield
    tried = attempts() - before
    if tried:
        with Path(os.environ[LEFT_DURING]).open("a") as names:
            names.write(f"{tried} {item.nodeid}\n")
