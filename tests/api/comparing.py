"""Answers as bytes: what of two must be the same so that neither tells more than the other."""

from dataclasses import dataclass
from typing import Final

import httpx

__all__ = ["Told", "differences"]

_OF_ITS_OWN: Final = frozenset({b"x-request-id", b"date"})
"""What each answer has of its own, whatever was asked."""


@dataclass(frozen=True)
class Told:
    """An answer without what each answer has of its own; header names in lower case, in the order they were sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    def by(cls, answer: httpx.Response) -> "Told":
        """What an answer tells."""
        sent = tuple((name.lower(), value) for name, value in answer.headers.raw)
        return cls(answer.status_code, tuple(pair for pair in sent if pair[0] not in _OF_ITS_OWN), answer.content)


def differences(one: Told, other: Told) -> list[str]:
    """What two answers differ in: `status`, `body`, and headers by name; `headers` where only their order differs."""
    found = ["status"] if one.status != other.status else []
    names = dict.fromkeys(name for name, _ in (*one.headers, *other.headers))
    headers = [f"header {name.decode()}" for name in names if _values(one, name) != _values(other, name)]
    if one.headers != other.headers:
        found += headers or ["headers"]
    return [*found, "body"] if one.body != other.body else found


def _values(told: Told, name: bytes) -> list[bytes]:
    return [value for each, value in told.headers if each == name]
