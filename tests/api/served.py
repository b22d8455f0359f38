"""The service in a process of its own, on a real port."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI

from db.settings import Settings
from relais.embedded.ports import free_port
from tests.conftest import ROOT
from tests.waiting import eventually

__all__ = ["Served", "served", "served_here"]


@dataclass(frozen=True)
class Served:
    """A service that answers."""

    port: int
    process: Process

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def served_here(app: FastAPI) -> AsyncIterator[str]:
    """The address of a service that was started in this process, over real connections."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve())

    async def listens() -> bool:
        return server.started

    await eventually(listens, "the service listens")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def served(settings: Settings, port: int | None = None, **more: str) -> AsyncIterator[Served]:
    """A service on the database of these settings, with `RELAIS_…` variables beside them; killed at the end."""
    port = port or free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")} | {
        "RELAIS_DATABASE_URL": settings.database_url,
        "RELAIS_SECRET_FILE": str(settings.secret_file),
        "RELAIS_ADDRESS_KEY_FILE": str(settings.address_key_file),
        **{f"RELAIS_{name.upper()}": value for name, value in more.items()},
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "--port", str(port)), cwd=ROOT, env=environment
    )
    made = Served(port, process)

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(f"{made.url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await eventually(ready, "the service is ready", 60)
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
