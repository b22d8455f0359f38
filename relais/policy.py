"""`relais policy`: the weights and limits in force, and publishing others, after seeing what they would have done."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from db import policies
from db.settings import Settings
from db.weeks import read_network, read_week
from matching.policy import Policy
from matching.refusals import StaleVersion
from matching.replay import Outcome, replay
from matching.revising import NotAPolicy, Wrong, WrongTerm, revised
from relais.asking import act

__all__ = ["policy_commands"]

policy_commands = typer.Typer(no_args_is_help=True, help="The policy: every weight and limit of the matching.")
MOST_NEEDS = 2000
_LARGEST_FILE = 100_000
_WORDS = {
    Wrong.UNKNOWN: "is no term of the policy",
    Wrong.NOT_IN_FORCE: "is not the version in force: look at `relais policy show` again, and at what changed",
    Wrong.NOT_AN_OBJECT: "must be an object with minutes for vital, high or normal",
    Wrong.NOT_AFTER_VERIFY: "must be more than verify_after_days: providers are asked before offers go stale",
}


@policy_commands.command("show")
def show() -> None:
    """Print the policy in force, as a file that `relais policy set` takes."""
    policy = act(lambda tx, _: policies.in_force(tx))
    typer.echo(json.dumps(asdict(policy), indent=2))


@policy_commands.command("set")
def set_policy(
    file: Annotated[Path, typer.Argument(help="JSON with the terms to change; docs/policy.md names them all.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would have done last week.")] = False,
) -> None:
    """Publish the next version of the policy; every decision from then on names it."""
    changes = _read(file)

    async def compare(tx: AsyncConnection, _: Settings) -> tuple[Policy, Policy, int, Outcome, Outcome]:
        before = await policies.in_force(tx)
        after = _revised(before, changes)
        asked, offers = await read_week(tx, MOST_NEEDS)
        network = await read_network(tx, offers)
        was, would = (replay(asked, offers, policy, network) for policy in (before, after))
        return before, after, len(asked), was, would

    async def publish(tx: AsyncConnection, _: Settings) -> tuple[Policy, Policy]:
        before = await policies.in_force(tx)
        after = _revised(before, changes)
        await policies.publish(tx, after)
        return before, after

    console = Console()
    if dry_run:
        before, after, needs, was, would = act(compare)
        _print_changes(console, before, after)
        _print_week(console, needs, was, would)
        typer.echo("Nothing was published. Without --dry-run it is.")
        return
    try:
        before, after = act(publish)
    except StaleVersion:
        _end("Somebody else published a policy at the same moment; yours was not. Look at `relais policy show` again.")
    _print_changes(console, before, after)
    typer.echo(
        f"Version {after.version} is in force from now on. Holds that there are keep the version they were made under."
    )


def _read(file: Path) -> dict[str, object]:
    try:
        raw = file.read_bytes()
    except OSError as error:
        _end(f"{file} cannot be read ({error.strerror}). Nothing was changed.")
    try:
        changes = json.loads(raw) if len(raw) <= _LARGEST_FILE else None
    except ValueError:
        changes = None
    if not isinstance(changes, dict):
        _end(f"{file} is not a JSON object of terms. Nothing was changed. What to do: begin with `relais policy show`.")
    return changes


def _revised(before: Policy, changes: dict[str, object]) -> Policy:
    try:
        return revised(before, changes)
    except NotAPolicy as refusal:
        told = "\n".join(f"  {each.term} {_told(each)}" for each in refusal.terms)
        _end(f"Nothing was changed, because:\n{told}")


def _told(each: WrongTerm) -> str:
    if each.limit is not None:
        kind = "a whole number" if each.limit.whole else "a number"
        return f"must be {kind} from {each.limit.least:g} to {each.limit.most:g}"
    return _WORDS[each.wrong]


def _end(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(2)


def _print_changes(console: Console, before: Policy, after: Policy) -> None:
    table = Table("term", f"version {before.version}", f"version {after.version}", title="What changes")
    old, new = asdict(before), asdict(after)
    for name in old:
        if name != "version" and old[name] != new[name]:
            table.add_row(name, _shown(old[name]), _shown(new[name]))
    console.print(table if table.row_count else "No term changes its value.")


def _print_week(console: Console, needs: int, was: Outcome, would: Outcome) -> None:
    table = Table("last week, replayed", "as it is", "as it would be", title="What it would have done")
    table.add_row("people with a place", str(was.people), str(would.people))
    table.add_row("people without", str(was.without), str(would.without))
    table.add_row("mean way, km", f"{was.km:.1f}", f"{would.km:.1f}")
    table.add_row("taken at the busiest organization", f"{was.busiest:.0%}", f"{would.busiest:.0%}")
    elsewhere = sum(one != other for one, other in zip(was.went, would.went, strict=True))
    table.add_row("needs that go elsewhere", "", f"{elsewhere} of {needs}")
    console.print(table)
    console.print(
        "Each need was placed at once, in the order of posting, in offers as they stand today with nobody in them: "
        "declines, rounds with their prices and volunteers are not replayed, and what was deleted is not known.",
        highlight=False,
    )


def _shown(value: object) -> str:
    return json.dumps(value)
