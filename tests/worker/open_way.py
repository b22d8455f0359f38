"""`python -m tests.worker.open_way CA-FILE`: the worker as it is, but that its way out leads to this machine alone."""

import asyncio
import ssl
import sys

import uvloop

from db import logs
from db.environment import read_or_leave
from worker.outbound import Outbound
from worker.process import serve
from worker.settings import WorkerSettings


async def _here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


if __name__ == "__main__":
    logs.configure()
    outbound = Outbound(_here, lambda _address: True, trust=ssl.create_default_context(cafile=sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(read_or_leave(WorkerSettings), outbound))
