"""The engine's hot loops are compiled before any test gives it a deadline, as its processes do."""

import pytest

from matching.engine.solve import warm


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Ready to think."""
    warm()
