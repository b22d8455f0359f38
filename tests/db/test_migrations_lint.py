"""Every migration is read by a linter that knows which statements lock or rewrite a table that is in use."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import event

from db.connection import connect
from db.migrations import Step, history, upgrade_to
from tests.conftest import Servers, run_on_server, settings_for
from tests.db.lawful import LAWFUL

_SQUAWK = Path(sys.executable).with_name("squawk")
# As `db.migrations` sets them before each step.
_SETTINGS = "set lock_timeout = '2s'; set statement_timeout = 0;"
_NO_CHANGES = ("select", "set ", "show", "begin", "commit", "rollback")


def findings(name: str, statements: list[str]) -> set[str]:
    """The rules that these statements break."""
    changes = [each for each in statements if not each.strip().lower().startswith(_NO_CHANGES)]
    # What runs outside of a transaction says so by its own word.
    inside = [] if any("concurrently" in each.lower() for each in changes) else ["--assume-in-transaction"]
    answer = subprocess.run(
        [_SQUAWK, "--reporter", "json", "--pg-version", "15.0", *inside, "--stdin-filepath", name],
        input=";\n".join([_SETTINGS, *changes, ""]),
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return {each["rule_name"] for each in found}


async def statements_of_each(servers: Servers, secret_files: tuple[Path, Path]) -> dict[str, list[str]]:
    """What each migration sends to an empty database, which is made for this."""
    name = f"relais_lint_{uuid4().hex[:12]}"
    await run_on_server(servers, f"create database {name}")
    engine = connect(settings_for(servers, secret_files, name), "test")
    sent: dict[str, list[str]] = {}

    async def run(step: Step) -> None:
        heard = sent[step.name] = []

        def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            heard.append(statement)

        event.listen(engine.sync_engine, "before_cursor_execute", hear)
        await upgrade_to(engine, step)
        event.remove(engine.sync_engine, "before_cursor_execute", hear)

    for step in history():
        await run(step)
    await engine.dispose()
    await run_on_server(servers, f"drop database {name} with (force)")
    return sent


async def test_nothing_is_found_but_what_was_lawful_then(servers: Servers, secret_files: tuple[Path, Path]) -> None:
    sent = await statements_of_each(servers, secret_files)
    found = {name: findings(name, statements) for name, statements in sent.items()}
    assert {name: rules for name, rules in found.items() if rules} == {name: set(LAWFUL[name]) for name in LAWFUL}


def test_what_would_lock_or_rewrite_is_found() -> None:
    for statement, rule in (
        ("create index need_later_idx on need (later)", "require-concurrent-index-creation"),
        ("alter table need alter column people type bigint", "changing-column-type"),
        ("alter table need alter column later set not null", "adding-not-nullable-field"),
        ("alter table need drop column people", "ban-drop-column"),
        ("alter table need rename column people to persons", "renaming-column"),
    ):
        assert rule in findings("control", [statement]), statement
    assert findings("control", ["create index concurrently if not exists need_later_idx on need (later)"]) == set()
