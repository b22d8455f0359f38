"""PgBouncer before the tests' database: transactions share few connections, as in front of many processes."""

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from shutil import rmtree
from signal import SIGKILL
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from db.lines import SERVER_SIDE
from db.roles import Role
from relais.embedded.choosing import Programs
from relais.embedded.ports import LOOPBACK, free_port
from relais.embedded.processes import Ending, Log, end, spawn, wait_until
from relais.embedded.users import folder_for, reachable, server_user
from tests.conftest import ROOT, Servers, run_on_server

__all__ = ["a_pooler", "logins_through_a_pooler"]

_FILE = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {loopback}
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
query_wait_timeout = 10
ignore_startup_parameters = {swallowed}
"""


_SWALLOWED = ", ".join(
    ("role", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "jit", *SERVER_SIDE)
)


@contextmanager
def a_pooler(url: str, passwords: Mapping[str, str], connections: int) -> Iterator[str]:
    """The server's address through a pooler, for these users: that many connections for each and each database.

    It swallows the role and the time limits that are asked for at the start, as operators tell it to.
    """
    root = ROOT / ".relais" / f"pooler-{uuid4().hex[:8]}"
    user = server_user(root.parent)
    place = folder_for(reachable(root, user), user)
    log = Log(place / "log")
    listen, server = free_port(), urlsplit(url)
    with ExitStack() as undo:
        undo.callback(rmtree, place, ignore_errors=True)
        users, file = place / "users", place / "pgbouncer.ini"
        users.write_text("".join(f'"{name}" "{password}"\n' for name, password in passwords.items()))
        file.write_text(
            _FILE.format(
                host=server.hostname, port=server.port, loopback=LOOPBACK, listen=listen, users=users,
                connections=connections, swallowed=_SWALLOWED,
            )
        )  # fmt: skip
        chosen = Programs.of_stack(ROOT / ".relais" / "test", user, print).pgbouncer()
        pooler = spawn(
            ["pgbouncer", str(file)], program=chosen.program, environment=chosen.environment, user=user, folder=place,
            log=log,
        )  # fmt: skip
        undo.callback(end, pooler, (Ending(SIGKILL, 5),))
        assert wait_until(lambda: "process up" in log.since(0), 20), log.since(0)
        yield urlunsplit(server._replace(netloc=f"{server.netloc.rpartition('@')[0]}@{LOOPBACK}:{listen}"))


@asynccontextmanager
async def logins_through_a_pooler(servers: Servers) -> AsyncIterator[dict[Role, str]]:
    """Users that are in their role and under its limits without asking, each its own password."""
    made = {role: f"test_pooled_{secrets.token_hex(6)}" for role in (Role.APP, Role.MATCHER)}
    takes = {Role.APP: [Role.APP, Role.MATCHER, Role.REVEAL], Role.MATCHER: [Role.MATCHER]}
    for role, name in made.items():
        for statement in (
            f"create role {name} login noinherit password '{name}' in role {', '.join(takes[role])}",
            f"alter role {name} set role = {role}",
            f"alter role {name} set statement_timeout = '10s'",
            f"alter role {name} set lock_timeout = '5s'",
            f"alter role {name} set idle_in_transaction_session_timeout = '20s'",
            f"alter role {name} set jit = off",
        ):
            await run_on_server(servers, statement)
    yield made
    for name in made.values():
        await run_on_server(servers, f"drop role {name}")
