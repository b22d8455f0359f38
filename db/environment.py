"""Reading settings from the environment, and telling what is wrong with them without repeating a value.

A value may be a secret, or hold one: only the variable, what is expected and where that is written are told.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from db.addresses import Vault
from db.reaching_redis import is_redis_address
from db.settings import Settings

__all__ = ["WrongSettings", "read", "read_or_leave"]

_Read = TypeVar("_Read", bound=BaseSettings)
_DATABASE_SCHEME = "postgresql+asyncpg"


class WrongSettings(Exception):  # noqa: N818 - told to a person, not a mistake of the program
    """Settings are missing or cannot be used; the message says which and what is expected."""


def read(kind: type[_Read], known: Mapping[str, Any] = {}) -> _Read:
    """The settings of this process, with their files looked at; `known` ones are not read. Raises `WrongSettings`."""
    try:
        found = kind(**known)
    except ValidationError as error:
        flaws = error.errors(include_input=False, include_context=False, include_url=False)
        # What pydantic says is left out too: it quotes.
        lines = sorted({_line(kind, str(flaw["loc"][0]), _how(flaw["type"])) for flaw in flaws if flaw["loc"]})
    else:
        lines = list(_unusable(found))
    if lines:
        raise WrongSettings(
            "\n".join(["These settings cannot be used, and nothing was started or changed:", *lines])
            + "\nWhat to do: correct them. docs/settings.md describes each."
        ) from None
    return found


def read_or_leave(kind: type[_Read]) -> _Read:
    """The same for a process: where they are wrong, it says so and ends with status 2."""
    try:
        return read(kind)
    except WrongSettings as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2) from None


def _how(flaw: str) -> str:
    return "is not set" if flaw == "missing" else "has a value that cannot be used"


def _line(kind: type[BaseSettings], name: str, how: str) -> str:
    field = kind.model_fields[name]
    limits = " and ".join(
        f"{words} {bound}"
        for mark in field.metadata
        for attribute, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))
        if (bound := getattr(mark, attribute, None)) is not None
    )
    expected = f"{field.description or ''}{f' A number, {limits}.' if limits else ''}"
    return f"  RELAIS_{name.upper()} {how}. Expected: {expected}"


def _unusable(found: BaseSettings) -> Iterator[str]:
    kind = type(found)
    for name, is_one in (
        ("database_url", _is_database_address),
        ("listen_url", _is_database_address),
        ("replica_url", _is_database_address),
        ("redis_url", _is_none_or_redis_address),
    ):
        value = getattr(found, name, None)
        if value is not None and not is_one(value):
            yield _line(kind, name, "is not such an address")
    for name in ("database_password_file", "secret_file", "address_key_file"):
        file = getattr(found, name, None)
        if file is None:
            continue
        try:
            file.read_bytes()
        except OSError as error:
            yield _line(kind, name, f"names a file that cannot be read ({error.strerror})")
            continue
        try:
            if name == "secret_file" and isinstance(found, Settings):
                found.keys()
            if name == "address_key_file":
                Vault.of_file(file)
        except ValueError:
            yield _line(kind, name, "names a file that does not hold what it should")


def _is_none_or_redis_address(value: str) -> bool:
    return not value or is_redis_address(value)


def _is_database_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return value.startswith(f"{_DATABASE_SCHEME}://") and bool(parts.netloc or parts.path)
