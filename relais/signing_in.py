"""`relais sign-in`: issuers (OpenID Connect) by which people sign in, and for which organization each admits whom."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID, uuid4

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from db import audit, issuers
from db.audit import Actor
from db.issuers import AdmissionFacts, Issuer
from db.keys import LIFETIME, IssuedKey
from db.settings import Settings
from identity.asking import NoAnswer, Trouble
from identity.issuers import Issuers
from identity.registration import Registration, address_back, is_issuer, is_of_a_person, origin_of
from matching.refusals import Invalid
from relais.asking import act
from relais.organizations import RIGHTS, AsJson, May, Scopes

__all__ = ["TROUBLES", "sign_in_commands"]

sign_in_commands = typer.Typer(no_args_is_help=True, help="Issuers by which people sign in elsewhere (OpenID Connect).")

_SOMEWHERE: Final = "https://…"
"""In place of an origin that is not known here."""
_NO_ISSUER: Final = "the issuer is an https:// address without ? and # (http:// on this very machine alone)"
_LONGEST_NAME: Final = 60
_WORD: Final = re.compile(r"[!#-\[\]-~]{1,100}", re.ASCII)
"""A scope (RFC 6749, § 3.3), and what this house asks of the name of a claim."""
_CLIENT: Final = re.compile(r"[ -~]{1,300}", re.ASCII)
_LONGEST_VALUE: Final = 200
TROUBLES: Final[Mapping[Trouble, str]] = {
    Trouble.SLOW: "It did not answer in time.",
    Trouble.UNREACHABLE: "It cannot be reached from here.",
    Trouble.INSECURE: "Its certificate is not good here (SSL_CERT_FILE names others that are).",
    Trouble.REFUSED: "It has no document at /.well-known/openid-configuration, or sends elsewhere for it.",
    Trouble.AILING: "It answers that it cannot now, or that it is asked too often.",
    Trouble.NONSENSE: "What stands at /.well-known/openid-configuration is no document of an issuer that can be used.",
    Trouble.ANOTHER: "Its document is that of another issuer: write its address just as the document does.",
    Trouble.ELSEWHERE: "Its document names another host than its own.",
}
"""What is told of a trouble with a document."""

SecretFile = Annotated[
    Path | None, typer.Option("--secret-file", help="File with the client secret; else it is read from the input.")
]


@sign_in_commands.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What people call it: it stands on its button.")],
    issuer: Annotated[str, typer.Option(help="Its address, just as its document writes it.")],
    client_id: Annotated[str, typer.Option(help="What it calls this house.")],
    secret_file: SecretFile = None,
    scope: Annotated[list[str] | None, typer.Option(help="To ask for beside `openid`; repeatable.")] = None,
    also_at: Annotated[
        list[str] | None, typer.Option(help="https://host beside its own that it may name; repeatable.")
    ] = None,
    *,
    pkce: Annotated[bool, typer.Option(help="Only for one that refuses what it does not know.")] = True,
    ask_again: Annotated[
        bool,
        typer.Option(help="It asks people who they are each time. Not for one that cannot, or on one's own device."),
    ] = True,
    unasked: Annotated[bool, typer.Option("--unasked", help="Do not ask it first whether all fits.")] = False,
    as_json: AsJson = False,
) -> None:
    """Register an issuer. It is asked for its document first, and nothing is kept where that does not fit."""
    registration = replace(
        _checked(name, issuer, client_id, scope or [], also_at or [], _secret(secret_file)),
        pkce=pkce,
        asks_again=ask_again,
    )
    if not unasked:
        _ask(registration)

    async def register(tx: AsyncConnection, settings: Settings) -> tuple[UUID, str | None]:
        issuer_id = uuid4()
        sealed = issuers.sealing(settings.keys()).seal(issuer_id, registration.secret)
        await issuers.add(
            tx,
            issuer_id,
            name.strip(),
            registration.issuer,
            registration.client_id,
            sealed,
            registration.scopes,
            registration.also_at,
            pkce=registration.pkce,
            asks_again=registration.asks_again,
        )
        return issuer_id, settings.public_origin

    issuer_id, public_origin = act(register)
    back = address_back(public_origin or _SOMEWHERE, registration.issuer)
    if as_json:
        typer.echo(json.dumps({"id": str(issuer_id), "back": back if public_origin else None}))
        return
    typer.echo(f"{name.strip()} is registered.\n\n  id    {issuer_id}\n  back  {back}\n")
    typer.echo("Nobody is admitted yet: `relais sign-in admit`. It must know the address back, just as it stands here.")
    if public_origin is None:
        typer.echo("RELAIS_PUBLIC_URL is not set here: without it the API shows no button.")


@sign_in_commands.command("back")
def print_back(issuer: Annotated[str, typer.Argument(help="Its address, just as its document writes it.")]) -> None:
    """Print where an issuer is to send people back to: it is told that before it gives a client id and a secret."""
    if not is_issuer(issuer):
        raise typer.BadParameter(_NO_ISSUER)

    async def origin(_: AsyncConnection, settings: Settings) -> str | None:
        return settings.public_origin

    typer.echo(address_back(act(origin) or _SOMEWHERE, issuer))


@sign_in_commands.command("admit")
def admit(
    organization: Annotated[UUID, typer.Argument(help="Its id, from `relais org list`.")],
    issuer: Annotated[UUID, typer.Argument(help="Its id, from `relais sign-in list`.")],
    claim: Annotated[
        str | None, typer.Option(help="NAME=VALUE: whoever it says this of, exactly; in a list, one of it.")
    ] = None,
    scope: Scopes = None,
    may: Annotated[May | None, typer.Option(help="`confirm`: sees what waits for an answer, answers, no more.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days that this holds.")] = LIFETIME.days,
    *,
    everybody: Annotated[bool, typer.Option("--everybody", help="All whom it knows: it is theirs alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say whom an issuer admits for an organization: by a claim, or everybody it knows."""
    if (claim is None) != everybody:
        raise typer.BadParameter("give --claim NAME=VALUE, or --everybody")
    if scope and may:
        raise typer.BadParameter("give --scope or --may, not both")
    wanted = RIGHTS[may] if may else frozenset(scope) if scope else None

    async def let_in(tx: AsyncConnection, _: Settings) -> tuple[UUID, IssuedKey]:
        made = await issuers.admit(
            tx, issuer, organization, _claim(claim) if claim else None, wanted, timedelta(days=days)
        )
        await audit.append(tx, Actor(organization, "operator", "command"), "relais sign-in admit", [made[1].id])
        return made

    admission_id, key = act(let_in)
    if as_json:
        written = {"id": str(admission_id), "prefix": key.prefix, "expires_at": key.expires_at.isoformat()}
        typer.echo(json.dumps(written))
        return
    typer.echo(
        f"  id   {admission_id}\n  key  relais_{key.prefix}_… (nobody can show it)\n  until {key.expires_at:%Y-%m-%d}\n"
    )
    typer.echo("Who signs in so has this key's sessions: `relais key revoke` ends it, and them, at once.")


@sign_in_commands.command("renew")
def renew(
    admission: Annotated[UUID, typer.Argument(help="Its id, from `relais sign-in list`.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days that it holds from now.")] = LIFETIME.days,
) -> None:
    """Let an admission hold longer; whoever is signed in stays so. One that has ended by itself holds again."""

    async def hold(tx: AsyncConnection, _: Settings) -> IssuedKey:
        organization, key = await issuers.renew(tx, admission, timedelta(days=days))
        await audit.append(tx, Actor(organization, "operator", "command"), "relais sign-in renew", [key.id])
        return key

    typer.echo(f"It holds until {act(hold).expires_at:%Y-%m-%d}.")


@sign_in_commands.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """Print the issuers, and whom each admits. No secret is shown."""

    async def read(tx: AsyncConnection, _: Settings) -> tuple[list[Issuer], list[AdmissionFacts]]:
        return await issuers.every(tx), await issuers.every_admission(tx)

    found, admitted = act(read)
    if as_json:
        typer.echo(json.dumps([_written(each, admitted) for each in found], ensure_ascii=False))
        return
    for each in found:
        typer.echo(f"{each.id}  {each.name}  {each.url}  (client {each.client_id})")
        for one in (facts for facts in admitted if facts.issuer_id == each.id):
            whom = f"{one.claim}={one.value}" if one.claim else "everybody"
            standing = f"until {one.expires_at:%Y-%m-%d}" if one.live else "ended"
            typer.echo(f"  {one.id}  {one.organization}  {whom}  {standing}  key {one.prefix}")
    if not found:
        typer.echo("No issuer is registered. Add one with `relais sign-in add`.")


@sign_in_commands.command("secret")
def change_secret(
    issuer: Annotated[UUID, typer.Argument(help="Its id, from `relais sign-in list`.")], secret_file: SecretFile = None
) -> None:
    """Keep another client secret for an issuer, when it gave a new one."""
    secret = _secret(secret_file)

    async def keep(tx: AsyncConnection, settings: Settings) -> None:
        sealed = issuers.sealing(settings.keys()).seal(issuer, secret)
        for organization in await issuers.reseal(tx, issuer, sealed):
            await audit.append(tx, Actor(organization, "operator", "command"), "relais sign-in secret", [issuer])

    act(keep)
    typer.echo("From now on it is asked with the new secret.")


@sign_in_commands.command("remove")
def remove(removed: Annotated[UUID, typer.Argument(help="Id of an issuer, or of one admission.")]) -> None:
    """End an issuer with all whom it admits, or one admission; whoever is signed in so is out at once."""

    async def end(tx: AsyncConnection, _: Settings) -> int:
        ended = (await issuers.remove(tx, removed)).keys
        for organization, key in ended:
            await audit.append(tx, Actor(organization, "operator", "command"), "relais sign-in remove", [key])
        return len(ended)

    typer.echo(f"It is removed: {act(end)} admissions ended, with all their sessions.")


def _checked(
    name: str, issuer: str, client_id: str, scopes: list[str], also_at: list[str], secret: str
) -> Registration:
    if not 1 <= len(name.strip()) <= _LONGEST_NAME or not name.strip().isprintable():
        raise typer.BadParameter("the name has 1 to 60 letters, on one line")
    if not is_issuer(issuer):
        raise typer.BadParameter(_NO_ISSUER)
    if not _CLIENT.fullmatch(client_id):
        raise typer.BadParameter("the client id has 1 to 300 characters of ASCII")
    if not all(map(_WORD.fullmatch, scopes)):
        raise typer.BadParameter("a scope is one word")
    origins = [origin_of(each) for each in also_at]
    if any(origin is None or origin != each.rstrip("/") for origin, each in zip(origins, also_at, strict=True)):
        raise typer.BadParameter("--also-at is https://host or https://host:port, in small letters")
    found = tuple(origin for origin in origins if origin)
    return Registration(issuer, client_id, secret, tuple(dict.fromkeys(scopes)), found)


def _claim(written: str) -> tuple[str, str]:
    name, _, value = written.partition("=")
    if not _WORD.fullmatch(name) or not value or len(value) > _LONGEST_VALUE or not value.isprintable():
        raise Invalid.one("claim", "wrong_form")
    if is_of_a_person(name) or "@" in value:
        # What admits is kept; and whoever can change their own e-mail address could admit themselves.
        raise Invalid.one("claim", "of_a_person")
    return name, value


def _secret(file: Path | None) -> str:
    """From a file, the input, or somebody who types; never from the command line, which others can read."""
    if file is not None:
        try:
            written = file.read_text()
        except (OSError, UnicodeDecodeError):
            raise typer.BadParameter("the file with the secret cannot be read") from None
    elif sys.stdin.isatty():
        written = typer.prompt("Client secret", hide_input=True)
    else:
        written = sys.stdin.read(2000)
    secret = written.strip()
    if not _CLIENT.fullmatch(secret):
        raise typer.BadParameter("the client secret has 1 to 300 characters of ASCII, on one line")
    return secret


def _ask(registration: Registration) -> None:
    try:
        asyncio.run(Issuers().endpoints(registration))
    except NoAnswer as none:
        more = f" To allow it: --also-at {none.host}" if none.host else ""
        typer.echo(
            f"{TROUBLES.get(none.trouble, 'It cannot be used.')}{more}\nNothing was kept. What to do: see to it, or "
            "give --unasked where only the API can reach it.",
            err=True,
        )
        raise typer.Exit(1) from None


def _written(each: Issuer, admitted: list[AdmissionFacts]) -> dict[str, object]:
    return {
        "id": str(each.id),
        "name": each.name,
        "issuer": each.url,
        "client_id": each.client_id,
        "scopes": each.scopes,
        "also_at": each.also_at,
        "pkce": each.pkce,
        "ask_again": each.asks_again,
        "admissions": [
            {
                "id": str(one.id),
                "organization": str(one.organization_id),
                "claim": one.claim,
                "value": one.value,
                "prefix": one.prefix,
                "scopes": one.scopes,
                "expires_at": one.expires_at.isoformat(),
                "live": one.live,
            }
            for one in admitted
            if one.issuer_id == each.id
        ],
    }
