"""The command line in the test's own process, against the test's own database."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from db import organizations, towns
from db.connection import transaction
from db.settings import Settings
from geo.gazetteer import GazetteerTown
from geo.names import starts_of
from matching.vocabulary import OrganizationKind
from relais.command import main
from tests.places import BRIANCON, GAP, PLACES

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


@pytest_asyncio.fixture(loop_scope="function")
async def association(engine: AsyncEngine) -> UUID:
    """An association, where towns can be found by name; Gap has a namesake over the border."""
    namesake = replace(GAP, id=1, country="IT", population=12)
    async with transaction(engine) as tx:
        await towns.add(
            tx,
            [
                GazetteerTown(
                    place.id,
                    place.name,
                    place.country,
                    place.population,
                    place.timezone,
                    place.point,
                    dict.fromkeys(starts_of(place.name), place.name),
                )
                for place in (*PLACES, namesake)
            ],
        )
        return await organizations.add(tx, OrganizationKind.ASSOCIATION, "Refuge", [BRIANCON.id])
