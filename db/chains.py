"""The chain of an organization's acts: how a link is made of its entry and the link before, and where one is broken.

SHA-256 over canonical JSON (RFC 8785: sorted keys, no spaces; only strings, integers and arrays of strings). Pure:
whoever has the entries can check them without this database.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

__all__ = ["START", "Anchor", "Entry", "Flaw", "Head", "broken", "link", "seal_of"]

START: Final = bytes(32)
"""The link before the first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act as it is stored, with its link."""

    organization_id: UUID
    number: int
    at: datetime
    role: str
    scope: str
    act: str
    objects: tuple[UUID, ...]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of a chain: whoever keeps it elsewhere can tell later that nothing before it was changed."""

    organization_id: UUID
    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last link that was pruned, with its seal; number 0 where nothing was."""

    number: int
    hash: bytes
    seal: bytes | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Where a chain is broken, and how (a stable code)."""

    organization_id: UUID
    number: int
    code: str


def link(previous: bytes, entry: Entry) -> bytes:
    """The link of an entry; what is stored as its own is not looked at."""
    said = {
        "act": entry.act,
        "at": entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "number": entry.number,
        "objects": [str(each) for each in entry.objects],
        "organization": str(entry.organization_id),
        "previous": previous.hex(),
        "role": entry.role,
        "scope": entry.scope,
    }
    return hashlib.sha256(_canonical(said)).digest()


def seal_of(head: Head, key: bytes) -> bytes:
    """What vouches for a pruned link (HMAC-SHA256): who holds only the database cannot make it."""
    said = {"hash": head.hash.hex(), "number": head.number, "organization": str(head.organization_id)}
    return hmac.digest(key, _canonical(said), "sha256")


def broken(
    organization_id: UUID, anchor: Anchor, entries: Iterable[Entry], head: Head | None, key: bytes
) -> list[Flaw]:
    """What is wrong with a chain, from the anchor over its entries in order of number up to its head."""
    found: list[Flaw] = []
    if anchor.number and not _vouched(organization_id, anchor, key):
        found.append(Flaw(organization_id, anchor.number, "checkpoint_forged"))
    number, previous = anchor.number, anchor.hash
    for entry in entries:
        if entry.number != number + 1:
            found.append(Flaw(organization_id, number + 1, "entry_missing"))
        elif entry.hash != link(previous, entry):
            found.append(Flaw(organization_id, entry.number, "entry_changed"))
        number, previous = entry.number, entry.hash
    last = Head(organization_id, number, previous)
    if (head or Head(organization_id, 0, START)) != last:
        found.append(Flaw(organization_id, number, "head_differs"))
    return found


def _vouched(organization_id: UUID, anchor: Anchor, key: bytes) -> bool:
    proper = seal_of(Head(organization_id, anchor.number, anchor.hash), key)
    return anchor.seal is not None and hmac.compare_digest(proper, anchor.seal)


def _canonical(said: Mapping[str, object]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
