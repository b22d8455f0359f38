"""`relais org` and `relais key`: who takes part, and with which keys."""

import json
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated
from uuid import UUID

import segno
import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from db import audit, keys, organizations
from db.audit import Actor
from db.keys import LIFETIME, ONLY_CALENDAR, ONLY_CONFIRMS, IssuedKey, KeyFacts, Scope
from db.settings import Settings
from matching.refusals import Invalid
from matching.vocabulary import OrganizationKind
from relais.asking import act
from relais.gazetteer import ensure_town

__all__ = ["RIGHTS", "AsJson", "May", "Scopes", "key_commands", "org_commands"]

org_commands = typer.Typer(no_args_is_help=True, help="Organizations that take part.")
key_commands = typer.Typer(no_args_is_help=True, help="Keys of organizations.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Scopes = Annotated[list[Scope] | None, typer.Option("--scope", help="Only this; may be repeated. Else all.")]


class May(StrEnum):
    """What a key of few rights may do."""

    CONFIRM = "confirm"
    CALENDAR = "calendar"


RIGHTS = {May.CONFIRM: ONLY_CONFIRMS, May.CALENDAR: ONLY_CALENDAR}


_LONGEST_NAME = 120
_SHOWN_ONCE = "The key is shown once: keep it where only its users can read it."


@org_commands.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    kind: Annotated[OrganizationKind, typer.Option(help="What it does in the network.")],
    town: Annotated[list[int] | None, typer.Option(help="GeoNames number of a town it works in; repeatable.")] = None,
    *,
    self_organized: Annotated[bool, typer.Option("--self-organized", help="Run by exiled people themselves.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add an organization and print its first key, which may do all that its kind allows."""
    towns = town or []

    async def join(tx: AsyncConnection, settings: Settings) -> tuple[UUID, IssuedKey]:
        for each in towns:
            await ensure_town(tx, each)
        organization_id = await organizations.add(tx, kind, _checked(name), towns, self_organized=self_organized)
        key = await keys.issue(tx, organization_id, settings.keys().of("api-key"))
        await _write_down(tx, organization_id, "relais org add", key.id)
        return organization_id, key

    organization_id, key = act(join)
    if as_json:
        typer.echo(json.dumps({"id": str(organization_id), "key": key.text}))
        return
    typer.echo(f"{name.strip()} takes part as {kind}.\n\n  id   {organization_id}\n  key  {key.text}\n\n{_SHOWN_ONCE}")


@org_commands.command("list")
def list_organizations(*, as_json: AsJson = False) -> None:
    """Print all organizations."""
    found = act(lambda tx, _: organizations.every(tx))
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "id": str(each.id),
                        "kind": each.kind,
                        "name": each.name,
                        "self_organized": each.self_organized,
                        "towns": each.towns,
                    }
                    for each in found
                ],
                ensure_ascii=False,
            )
        )
        return
    for each in found:
        typer.echo(f"{each.id}  {each.kind:<13} {each.name}  (towns: {', '.join(map(str, each.towns)) or 'none'})")
    if not found:
        typer.echo("No organization takes part yet. Add one with `relais org add`.")


@key_commands.command("issue")
def issue(
    organization: Annotated[UUID, typer.Argument(help="Its id, from `relais org list`.")],
    scope: Scopes = None,
    may: Annotated[
        May | None,
        typer.Option(
            help="`confirm`: sees what waits for an answer, answers, no more; `calendar`: reads the calendar."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days that the key lives.")] = LIFETIME.days,
    *,
    qr: Annotated[bool, typer.Option("--qr", help="Show it as a code to scan too, where one signs in.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a second key, so that the first can be replaced without a pause, or one that may do less."""
    if scope and may:
        raise typer.BadParameter("give --scope or --may, not both")
    if qr and as_json:
        raise typer.BadParameter("give --qr or --json, not both")
    wanted = RIGHTS[may] if may else frozenset(scope) if scope else None

    async def make(tx: AsyncConnection, settings: Settings) -> IssuedKey:
        made = await keys.issue(tx, organization, settings.keys().of("api-key"), wanted, timedelta(days=days))
        await _write_down(tx, organization, "relais key issue", made.id)
        return made

    key = act(make)
    if as_json:
        typer.echo(json.dumps({"key": key.text, "expires_at": key.expires_at.isoformat()}))
        return
    if qr:
        segno.make(key.text, error="m", micro=False).terminal(compact=True)
    typer.echo(f"  key      {key.text}\n  expires  {key.expires_at:%Y-%m-%d}\n\n{_SHOWN_ONCE}")


@key_commands.command("revoke")
def revoke(
    prefix: Annotated[str | None, typer.Argument(help="The ten letters after `relais_`, or the whole key.")] = None,
    organization: Annotated[UUID | None, typer.Option(help="Every key of this organization, at once.")] = None,
) -> None:
    """End a key at once, or every key of an organization."""
    if (prefix is None) == (organization is None):
        raise typer.BadParameter("give a key, or --organization with an id")
    if organization is not None:
        typer.echo(
            f"{act(partial(_end_all, organization))} keys are revoked: "
            "this organization has none that opens anything now."
        )
        return
    public = str(prefix).removeprefix("relais_").partition("_")[0]

    async def end(tx: AsyncConnection, _: Settings) -> None:
        owner, key = await keys.revoke(tx, public)
        await _write_down(tx, owner, "relais key revoke", key)

    act(end)
    typer.echo(f"The key {public} is revoked: from now on it opens nothing.")


@key_commands.command("list")
def list_keys(
    organization: Annotated[UUID, typer.Argument(help="Its id, from `relais org list`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print the keys of an organization, without their secrets."""

    async def of_somebody(tx: AsyncConnection, _: Settings) -> list[KeyFacts]:
        await organizations.read(tx, organization)  # nobody's keys are not an empty list
        return await keys.of_organization(tx, organization)

    found = act(of_somebody)
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "prefix": each.prefix,
                        "scopes": each.scopes,
                        "created_at": each.created_at.isoformat(),
                        "expires_at": each.expires_at.isoformat(),
                        "live": each.live,
                    }
                    for each in found
                ]
            )
        )
        return
    for each in found:
        standing = "live" if each.live else "revoked" if each.revoked_at else "expired"
        typer.echo(f"{each.prefix}  {standing:<8} until {each.expires_at:%Y-%m-%d}  {' '.join(each.scopes)}")
    if not found:
        typer.echo("This organization has no key. Make one with `relais key issue`.")


async def _end_all(organization: UUID, tx: AsyncConnection, _: Settings) -> int:
    lived = await keys.revoke_all(tx, organization)
    await _write_down(tx, organization, "relais key revoke --organization")
    return lived


async def _write_down(tx: AsyncConnection, organization: UUID, what: str, *made: UUID) -> None:
    """Into the audit of the organization that it was done for, last of all."""
    await audit.append(tx, Actor(organization, "operator", "command"), what, list(made))


def _checked(name: str) -> str:
    bare = name.strip()
    if not bare or len(bare) > _LONGEST_NAME or not bare.isprintable():
        raise Invalid.one("name", "wrong_form")
    return bare
