"""`python -m worker`: serve until told to stop."""

import asyncio
import gc

import uvloop

from db import logs
from db.environment import read_or_leave
from worker.settings import WorkerSettings

if __name__ == "__main__":
    logs.configure()
    settings = read_or_leave(WorkerSettings)
    # What is loaded stays: to look through it for garbage meanwhile would only take time.
    gc.disable()
    from worker.process import serve  # takes seconds, and what is wrong with settings is told at once

    gc.enable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))
