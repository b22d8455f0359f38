"""Reading bodies: strict JSON, or a flaw that says what is wrong without repeating any of it."""

import json
from email.message import Message
from typing import Final, NoReturn

from fastapi import Request
from starlette.types import Receive, Scope

from api.flaws import may_be_named
from matching.refusals import Flaw

__all__ = ["Incoming"]

_DEEPEST: Final = 32
_MOST_DIGITS: Final = 30
_LONGEST_TYPE: Final = 200
"""Characters of a `Content-Type`: reading one takes the square of its length, for whoever may send it."""
_UNREADABLE: Final = "unreadable"
"""Stands in for a body that was not read: no model takes it."""


class _Unreadable(ValueError):  # noqa: N818 - an answer, not an error of the program
    """The body cannot be read."""

    def __init__(self, code: str, at: str = "") -> None:
        super().__init__(code)
        self.flaw = Flaw(at, code)


class Incoming(Request):
    """A request whose body was read whole before anything is decided about it.

    What is wrong with the body is told only once the caller is known: `flaw` waits until then.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.raw = b""
        self.flaw: Flaw | None = None
        self._value: object = None

    async def read(self) -> None:
        """Read the body. Raises `TooLarge`."""
        self.raw = await self.body()
        try:
            self._value = _parsed(self.raw, self.headers.get("content-type", ""))
        except _Unreadable as unreadable:
            self.flaw, self._value = unreadable.flaw, _UNREADABLE

    async def json(self) -> object:
        """The body as parsed."""
        return self._value


def _parsed(raw: bytes, content_type: str) -> object:
    if not raw.strip(b" \t\r\n"):
        raise _Unreadable("body_needed")
    if not _is_json(content_type):
        raise _Unreadable("not_json")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_doubles,
            parse_constant=_no_constant,
            parse_int=_whole_number,
        )
    except _Unreadable:
        raise
    except UnicodeDecodeError:
        raise _Unreadable("not_utf8") from None
    except RecursionError:
        raise _Unreadable("too_deep") from None
    except ValueError:
        raise _Unreadable("not_json") from None
    _inspect(value)
    return value


def _is_json(content_type: str) -> bool:
    if len(content_type) > _LONGEST_TYPE:
        return False
    message = Message()
    message["content-type"] = content_type or "none/none"
    subtype = message.get_content_subtype()
    charset = message.get_content_charset("utf-8")
    return (
        message.get_content_maintype() == "application"
        and (subtype == "json" or subtype.endswith("+json"))
        and charset in ("utf-8", "utf8")
    )


def _no_constant(_name: str) -> NoReturn:
    raise _Unreadable("not_a_number")


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _Unreadable("number_too_long")
    return int(digits)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Unreadable("field_twice")
    return made


def _inspect(value: object) -> None:
    """Refuse what no field takes and no database keeps, wherever it stands: NUL, half characters, deep nesting."""
    waiting: list[tuple[object, str, int, bool]] = [(value, "", 1, True)]
    while waiting:
        part, at, depth, nameable = waiting.pop()
        match part:
            case str() if "\0" in part or any("\ud800" <= letter <= "\udfff" for letter in part):
                raise _Unreadable("unreadable_text", at)
            case float() if part in (float("inf"), float("-inf")):
                raise _Unreadable("not_a_number", at)
            case dict() | list() if depth > _DEEPEST:
                raise _Unreadable("too_deep")
            case dict():
                for name, inner in part.items():
                    named = nameable and may_be_named(name)
                    waiting.append((inner, f"{at}/{name}" if named else at, depth + 1, named))
                    waiting.append((name, at, depth + 1, nameable))
            case list():
                waiting.extend(
                    (inner, f"{at}/{n}" if nameable else at, depth + 1, nameable) for n, inner in enumerate(part)
                )
            case _:
                pass
