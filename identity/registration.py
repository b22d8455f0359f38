"""How this house is known to an issuer, and which addresses of it may be asked: its own, and those that were named.

An issuer is whoever vouches for people who sign in elsewhere ("identity provider"). The operator registers it, and that
is the consent to ask it: it may well stand in the town hall's own network, so no address is refused for being private.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

__all__ = ["BACK", "BY_ITSELF", "Registration", "address_back", "is_issuer", "is_of_a_person", "mark_of", "origin_of"]

LONGEST: Final = 300
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,260}(/[!#-;=?-\[\]^-~]*)?", re.ASCII)
_LOOPBACK: Final = re.compile(r"127(\.\d{1,3}){3}|::1|localhost")
_PORTS: Final = {"https": 443, "http": 80}
BACK: Final = "/console/sign-in/back"
"""Below this stands, for each issuer, the one address to which it sends browsers back."""
BY_ITSELF: Final = "openid"
"""The scope that is always asked for."""
_NAMES: Final = """
    sub name givenname usualname familyname middlename nickname preferredusername profile picture website gender
    birthdate zoneinfo locale updatedat displayname commonname cn sn surname firstname lastname fullname initials title
    email emails emailaddress emailverified verifiedprimaryemail verifiedsecondaryemail primaryemail mail mails
    mailnickname proxyaddresses othermails phone phonenumber phonenumberverified mobile mobilephone telephonenumber
    address streetaddress postaladdress
    user username userid login loginname loginhint upn userprincipalname uniquename samaccountname
    onpremisessamaccountname accountname uid oid objectid objectsid nameid nameidentifier puid externalid
    idnumber employeeid employeenumber personnelnumber distinguishedname dn entrydn eppn edupersonprincipalname
    sid nonce athash chash shash jti iat exp nbf authtime iss aud azp acr amr
"""
_OF_A_PERSON: Final = frozenset(_NAMES.split())


def is_of_a_person(claim: str) -> bool:
    """Whether a claim is known to say who somebody is, or nothing of an organization.

    Known are names, and these behind an address too (`https://town.example/email`), however they are written. An issuer
    can call anything as it likes: what a claim says there, the operator has to know.
    """
    last = re.split(r"[/:#]", claim.rstrip("/:#"))[-1]
    return re.sub(r"[_.-]", "", last).casefold() in _OF_A_PERSON


@dataclass(frozen=True, slots=True)
class Registration:
    """An issuer, and what it calls this house. `also_at` are origins beside its own, as `https://host[:port]`.

    With `asks_again` it is to ask people who they are each time, whether or not it knows their browser.
    """

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    also_at: tuple[str, ...] = ()
    pkce: bool = True
    asks_again: bool = True

    def may_be_asked(self, url: object) -> bool:
        """Whether an address that its document names is one that the operator agreed to."""
        origin = origin_of(url) if isinstance(url, str) else None
        return origin is not None and origin in {origin_of(self.issuer), *self.also_at}


def mark_of(issuer: str) -> str:
    """The last part of the address back that is this issuer's alone: 80 bits, of its identifier and nothing else.

    So whoever registers this house there can know it before the issuer knows this house.
    """
    return hashlib.sha256(issuer.encode()).hexdigest()[:20]


def address_back(origin: str, issuer: str) -> str:
    """Where an issuer sends browsers back to, at a house of this origin."""
    return f"{origin}{BACK}/{mark_of(issuer)}"


def is_issuer(written: str) -> bool:
    """Whether this can be the identifier of an issuer: an address without query and fragment."""
    return origin_of(written) is not None and not set("?#") & set(written)


def origin_of(url: str) -> str | None:
    """`https://host[:port]` of an address; `None` for one that is not to be asked.

    That is without TLS, unless it is this very machine; with a user in it; or too long.
    """
    if len(url) > LONGEST or not _ADDRESS.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or (parts.scheme == "http" and not _LOOPBACK.fullmatch(host)):
        return None
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}{'' if port in (None, _PORTS[parts.scheme]) else f':{port}'}"
