"""`python -m worker`: serve until told to stop."""

import asyncio

import uvloop

from db import logs
from db.environment import read_or_leave
from worker.process import serve
from worker.settings import WorkerSettings

if __name__ == "__main__":
    logs.configure()
    settings = read_or_leave(WorkerSettings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))
