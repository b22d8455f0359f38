"""What an issuer's document says (OpenID Connect Discovery 1.0): where it is asked, and how it knows this house."""

from dataclasses import dataclass
from typing import Final

from identity.asking import Answered, NoAnswer, Trouble
from identity.registration import Registration, origin_of

__all__ = ["Endpoints", "address_of", "read"]

_DOCUMENT: Final = "/.well-known/openid-configuration"
_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of an issuer, each of which may be asked."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    in_head: bool
    """Whether it is shown the secret in the head of a request (`client_secret_basic`), or else in the body."""
    tells_issuer: bool
    """Whether each of its answers by the browser says that it is from it (RFC 9207)."""


def address_of(issuer: str) -> str:
    """Where the document stands."""
    return issuer.rstrip("/") + _DOCUMENT


def read(answered: Answered, registration: Registration) -> Endpoints:
    """Raises `NoAnswer` where it is another's document, names other hosts, or lacks what is needed."""
    said = answered.parsed()
    if said.get("issuer") != registration.issuer:
        raise NoAnswer(Trouble.ANOTHER)
    ways = said.get("token_endpoint_auth_methods_supported", [_BASIC])
    if not isinstance(ways, list) or not {_BASIC, _POST} & {way for way in ways if isinstance(way, str)}:
        raise NoAnswer(Trouble.NONSENSE)
    return Endpoints(
        authorization=_permitted(said.get("authorization_endpoint"), registration),
        token=_permitted(said.get("token_endpoint"), registration),
        keys=_permitted(said.get("jwks_uri"), registration),
        userinfo=_permitted(said["userinfo_endpoint"], registration) if "userinfo_endpoint" in said else None,
        in_head=_BASIC in ways,
        tells_issuer=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _permitted(url: object, registration: Registration) -> str:
    if not isinstance(url, str) or "#" in url:
        raise NoAnswer(Trouble.NONSENSE)
    if not registration.may_be_asked(url):
        raise NoAnswer(Trouble.ELSEWHERE, origin_of(url) or "")
    return url
