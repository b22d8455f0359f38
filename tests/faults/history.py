"""What was asked and what was answered: lines that are only ever added, each on the disk before the next is done."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID

__all__ = ["Attempt", "Call", "History", "read_history"]

_RUNNING = 409, "idempotency-in-progress"


@dataclass(frozen=True)
class Attempt:
    """How one attempt of a call ended: `status` is `None` where no answer came. `at`: seconds since 1970."""

    at: float
    status: int | None
    answer: Mapping[str, Any]

    @property
    def known(self) -> bool:
        """Whether it says what became of the call."""
        if self.status is None or self.status >= 500:
            return False
        return (self.status, str(self.answer.get("type", "")).rpartition("/")[2]) != _RUNNING


@dataclass
class Call:
    """One call that is to change something, with each attempt to make it, all under one idempotency key."""

    number: int
    who: str
    act: str
    path: str
    key: str | None
    body: Mapping[str, Any] | None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        """Whether its caller was told that it was done."""
        return any(attempt.status is not None and 200 <= attempt.status < 300 for attempt in self.attempts)

    @property
    def known(self) -> bool:
        """Whether its caller knows what became of it."""
        return any(attempt.known for attempt in self.attempts)

    @property
    def answer(self) -> Mapping[str, Any]:
        """What it was told in the end; nothing while that is unknown."""
        return next((attempt.answer for attempt in reversed(self.attempts) if attempt.known), {})

    @property
    def object_id(self) -> UUID:
        """The object of an acknowledged call, or that its path names."""
        return UUID(self.answer["id"] if self.act == "post" else self.path.split("/")[3])


class History:
    """The file of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: dict[int, Call] = {}
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def sends(self, who: str, act: str, path: str, key: str | None, body: Mapping[str, Any] | None) -> Call:
        """Write down that a call is about to be made."""
        call = Call(len(self.calls) + 1, who, act, path, key, body)
        self.calls[call.number] = call
        self._add({"call": call.number, "who": who, "act": act, "path": path, "key": key, "body": body})
        return call

    def answered(self, call: Call, status: int | None, answer: Mapping[str, Any]) -> Attempt:
        """Write down how an attempt ended."""
        attempt = Attempt(time(), status, answer)
        call.attempts.append(attempt)
        self._add({"call": call.number, "at": attempt.at, "status": status, "answer": answer})
        return attempt

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _add(self, line: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fdatasync(self._file)


def read_history(path: Path) -> list[Call]:
    """The calls of a file, in the order in which they were made."""
    calls: dict[int, Call] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        if "act" in line:
            calls[line["call"]] = Call(line["call"], line["who"], line["act"], line["path"], line["key"], line["body"])
        else:
            calls[line["call"]].attempts.append(Attempt(line["at"], line["status"], line["answer"]))
    return list(calls.values())
