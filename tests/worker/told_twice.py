"""`python -m tests.worker.told_twice`: the worker, but that it tells again what one that died had in hand."""

import asyncio

import uvloop
from sqlalchemy import text

from db import logs, notices
from db.environment import read_or_leave
from worker.process import serve
from worker.settings import WorkerSettings

if __name__ == "__main__":
    logs.configure()
    notices.GIVE_UP_LOST = text("""
        update notice set state = 'waiting', leased_until = null where state = 'sending' and leased_until <= now()
        returning channel_id, happening
    """)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(read_or_leave(WorkerSettings)))
