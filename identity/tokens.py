"""What an issuer says of somebody, believed only where it is proved: signed by a key of its own, for this house, now.

Signatures are checked by joserfc, claims of ID tokens by Authlib. Only algorithms with a public and a private half are
taken, and only public keys are: neither `none` nor a shared secret can stand in for a signature.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from identity.asking import Answered, NoAnswer, Trouble
from identity.registration import Registration

__all__ = ["ALGORITHMS", "UnknownKey", "read_keys", "user_info", "vouched"]

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
_KINDS: Final[Mapping[object, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_LEEWAY_SECONDS: Final = 60
_RSA_BITS: Final = range(2048, 8193)
"""Fewer prove nothing, more take long."""
_MOST_KEYS: Final = 50
_SIGNED: Final = "application/jwt"
_FAULTS: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading something strange may raise."""


class UnknownKey(Exception):  # noqa: N818 - the keys may have changed
    """It names a key that is not among those that are known."""


def read_keys(answered: Answered) -> KeySet:
    """The public keys that an issuer signs with; others of its document are passed over. Raises `NoAnswer`."""
    written = answered.parsed().get("keys")
    found = [_key(each) for each in (written if isinstance(written, list) else [])[:_MOST_KEYS]]
    keys = [key for key in found if key is not None]
    if not keys:
        raise NoAnswer(Trouble.NONSENSE)
    return KeySet(list(keys))


def vouched(
    id_token: str,
    keys: KeySet,
    registration: Registration,
    nonce: str,
    access_token: str | None,
    began: float,
) -> dict[str, Any]:
    """The claims of an ID token (OpenID Connect Core 1.0, § 3.1.3.7), asked for at `began`, in seconds since 1970.

    Raises `NoAnswer`, `UnknownKey`.
    """
    try:
        token = _signed(id_token, keys)
        claims = CodeIDToken(
            token.claims,
            _head(token.header),
            {"iss": {"value": registration.issuer}, "aud": {"value": registration.client_id}},
            {"nonce": nonce, "client_id": registration.client_id, "access_token": access_token},
        )
        claims.validate(int(time.time()), _LEEWAY_SECONDS)
        _subject(claims)
        known_from_before = claims.get("auth_time", began) < began - _LEEWAY_SECONDS
    except _FAULTS:
        raise NoAnswer(Trouble.UNTRUE) from None
    if registration.asks_again and known_from_before:
        raise NoAnswer(Trouble.NOT_ASKED)
    return dict(claims)


def user_info(answered: Answered, keys: KeySet, registration: Registration, subject: str) -> dict[str, Any]:
    """What the userinfo endpoint says of the same person, signed or not (§ 5.3). Raises `NoAnswer`, `UnknownKey`."""
    if answered.media_type != _SIGNED:
        said: dict[str, Any] = answered.parsed()
    else:
        try:
            said = _signed(answered.content.decode("ascii"), keys).claims
            _of_this_house(said, registration)
        except _FAULTS:
            raise NoAnswer(Trouble.UNTRUE) from None
    if said.get("sub") != subject:
        raise NoAnswer(Trouble.UNTRUE)
    return said


def _signed(written: str, keys: KeySet) -> jwt.Token:
    try:
        # Some issuers put members of their own into the head; those that must be understood (`crit`) are not.
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        return jwt.decode(written, keys, registry=registry)
    except InvalidKeyIdError:
        raise UnknownKey from None


def _head(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """A head as Authlib reads it, which finds the hash of an access token by the name of the algorithm."""
    return {**written, "alg": "EdDSA"} if written["alg"] == "Ed25519" else written


def _of_this_house(said: dict[str, Any], registration: Registration) -> None:
    claims = jwt.JWTClaimsRegistry(
        leeway=_LEEWAY_SECONDS,
        iss={"essential": True, "value": registration.issuer},
        aud={"essential": True, "value": registration.client_id},
    )
    claims.validate(said)


def _subject(claims: Mapping[str, Any]) -> None:
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise ValueError("no subject")


def _key(written: object) -> RSAKey | ECKey | OKPKey | None:
    """A key to check signatures with; `None` for any other, so that one strange key does not hide the rest."""
    if not isinstance(written, dict) or written.get("use", "sig") != "sig" or written.get("kty") not in _KINDS:
        return None
    try:
        key = _KINDS[written["kty"]].import_key(written)
        if key.is_private or (isinstance(key, RSAKey) and key.public_key.key_size not in _RSA_BITS):
            return None
    except _FAULTS:
        return None
    return key
