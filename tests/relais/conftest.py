"""The command line in the test's own process, against the test's own database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from db.settings import Settings
from relais.command import main

Relais = Callable[..., Awaitable[Result]]
"""Called with the words after `relais`."""


@pytest.fixture
def relais(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Relais:
    """Run the command against the test's own database."""
    monkeypatch.setenv("RELAIS_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("RELAIS_SECRET_FILE", str(settings.secret_file))
    monkeypatch.setenv("RELAIS_ADDRESS_KEY_FILE", str(settings.address_key_file))

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, list(arguments))

    return run
