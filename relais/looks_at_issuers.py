"""What `relais doctor` looks at of issuers: whether people who sign in elsewhere can."""

from datetime import UTC, datetime, timedelta
from typing import Final

from db import issuers as registered
from db.issuers import AdmissionFacts, Issuer
from identity.asking import NoAnswer
from identity.issuers import Issuers
from identity.registration import Registration
from relais.finding import Finding, House, to_do
from relais.signing_in import TROUBLES

__all__ = ["issuers"]

_LOOK: Final = "signing in"
_SAFE: Final = "Who has a key signs in with it; whoever is signed in stays so."
_SOON: Final = timedelta(days=14)


async def issuers(house: House) -> Finding | None:
    """Issuers by which people sign in answer."""
    async with house.reading() as tx:
        found = await registered.every(tx)
        admitted = await registered.every_admission(tx)
    if not found:
        return None
    if house.settings.public_url is None:
        return to_do(
            _LOOK,
            "Issuers are registered and RELAIS_PUBLIC_URL is not set here: nobody is shown their buttons.",
            _SAFE,
            "Set it for the API, and for this command, to the address at which people open Relais.",
        )
    for each in found:
        trouble = await _trouble(house, each)
        if trouble is not None:
            return to_do(
                _LOOK,
                f"People cannot sign in by {each.name}. {trouble}",
                _SAFE,
                "See to it, or ask whoever runs it; from another machine than the API's it may only look so.",
            )
    return _of_admissions(found, admitted)


def _of_admissions(found: list[Issuer], admitted: list[AdmissionFacts]) -> Finding | None:
    live = [each for each in admitted if each.live]
    lapsed = _lapsed(admitted)
    ending = [each for each in live if each.expires_at < datetime.now(UTC) + _SOON]
    idle = [each.name for each in found if not each.admits]
    if lapsed:
        what = (
            f"{len(lapsed)} admissions have ended, the first for {_first(lapsed)}: whoever came by them cannot sign in."
        )
        return to_do(_LOOK, what, _SAFE, "`relais sign-in renew` each, or `remove` it; `relais sign-in list` has them.")
    if idle:
        what = f"Nobody is admitted by {', '.join(idle)}: people are shown no button."
        return to_do(_LOOK, what, _SAFE, "`relais sign-in admit`, or `remove` it.")
    if ending:
        what = f"{len(ending)} admissions end within two weeks, the first for {_first(ending)}."
        return to_do(_LOOK, what, _SAFE, "`relais sign-in renew` each; whoever is signed in stays so.")
    return None


def _lapsed(admitted: list[AdmissionFacts]) -> list[AdmissionFacts]:
    """Those that ended by themselves and that none which lives has replaced."""
    live = {(each.issuer_id, each.organization_id, each.claim, each.value) for each in admitted if each.live}
    return [
        each
        for each in admitted
        if not each.live
        and not each.revoked
        and (each.issuer_id, each.organization_id, each.claim, each.value) not in live
    ]


def _first(ended: list[AdmissionFacts]) -> str:
    return min(ended, key=lambda each: each.expires_at).organization


async def _trouble(house: House, issuer: Issuer) -> str | None:
    try:
        secret = registered.sealing(house.settings.keys()).open(issuer.id, issuer.sealed)
    except ValueError:
        return "Its secret was sealed with another secret file: `relais sign-in secret`."
    known = Registration(issuer.url, issuer.client_id, secret, issuer.scopes, issuer.also_at, issuer.pkce)
    try:
        await Issuers().endpoints(known)
    except NoAnswer as none:
        return TROUBLES.get(none.trouble, "It cannot be used.")
    return None
