"""Changing the policy: what each weight and limit may be, and what is wrong with a change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Final

from matching.policy import Policy
from matching.vocabulary import Urgency

__all__ = ["BY_URGENCY", "LIMITS", "Limit", "NotAPolicy", "Wrong", "WrongTerm", "revised"]


@dataclass(frozen=True, slots=True)
class Limit:
    """The least and the greatest value of a term, both allowed."""

    least: float
    most: float
    whole: bool = True


LIMITS: Final[Mapping[str, Limit]] = {
    "radius_km": Limit(1, 500),
    "candidates": Limit(1, 100),
    "load_km": Limit(0, 100),
    "price_percent": Limit(0, 1000),
    "price_most_km": Limit(0, 500),
    "price_hours": Limit(1, 168),
    "town_load_times": Limit(1, 100, whole=False),
    "town_load_km": Limit(0, 100),
    "town_load_most_km": Limit(0, 500),
    "association_load_times": Limit(1, 100, whole=False),
    "association_load_km": Limit(0, 100),
    "association_load_most_km": Limit(0, 500),
    "fair_from_people": Limit(1, 10_000),
    "tentative_seconds": Limit(0, 600),
    "tentative_percent": Limit(0, 90),
    "tentative_most_minutes": Limit(0, 1440),
    "answer_minutes": Limit(1, 10_080),
    "ask_again_minutes": Limit(1, 10_080),
    "round_seconds": Limit(1, 3600),
    "round_needs": Limit(1, 100_000),
    "round_candidates": Limit(1, 500),
    "round_solve_seconds": Limit(0.1, 60, whole=False),
    "move_most_km": Limit(0, 500),
    "move_gain_km": Limit(0, 500),
    "verify_after_days": Limit(1, 365),
    "stale_after_days": Limit(1, 730),
    "refer_after_minutes": Limit(0, 1440),
    "refer_ahead_hours": Limit(1, 720),
    "refer_most_km": Limit(1, 1000),
    "refer_search_minutes": Limit(1, 1440),
    "minute_km": Limit(0, 10, whole=False),
    "near_times": Limit(0, 10, whole=False),
    "wish_km": Limit(0, 100),
    "preference_most_km": Limit(0, 500),
    "marks_from_parties": Limit(10, 1000),
}
"""By term; those in minutes by urgency (`BY_URGENCY`) have one value for each."""
BY_URGENCY: Final = ("answer_minutes", "refer_after_minutes")


class Wrong(StrEnum):
    """What may be wrong with a term."""

    UNKNOWN = "unknown"
    NOT_IN_FORCE = "not_in_force"
    NOT_AN_OBJECT = "not_an_object"
    NOT_AFTER_VERIFY = "not_after_verify"
    OUT_OF_RANGE = "out_of_range"


@dataclass(frozen=True, slots=True)
class WrongTerm:
    """A term that cannot be used, and the limit that it breaks where it is one."""

    term: str
    wrong: Wrong
    limit: Limit | None = None


class NotAPolicy(Exception):  # noqa: N818 - named for what was given, as refusals are
    """Changes that make no policy, with everything that is wrong with them."""

    def __init__(self, *terms: WrongTerm) -> None:
        super().__init__(", ".join(f"{each.term}: {each.wrong}" for each in terms))
        self.terms = terms


def revised(policy: Policy, changes: Mapping[str, object]) -> Policy:
    """The next version, with these terms changed. Raises `NotAPolicy` with all that is wrong, and no value in it.

    A `version` among the changes says which version they were written for: it must be the one given.
    """
    wrong = tuple(_wrong(policy, changes))
    if wrong:
        raise NotAPolicy(*wrong)
    terms = {name: value for name, value in changes.items() if name != "version"}
    for name in BY_URGENCY:
        if name in terms:
            terms[name] = {**getattr(policy, name), **_mapping(terms[name])}
    made = replace(policy, version=policy.version + 1, **terms)  # type: ignore[arg-type]
    if made.stale_after_days <= made.verify_after_days:
        raise NotAPolicy(WrongTerm("stale_after_days", Wrong.NOT_AFTER_VERIFY))
    return made


def _wrong(policy: Policy, changes: Mapping[str, object]) -> Iterator[WrongTerm]:
    known = {field.name for field in fields(Policy)}
    for name, value in changes.items():
        if name not in known:
            yield WrongTerm(name, Wrong.UNKNOWN)
        elif name == "version":
            if value != policy.version:
                yield WrongTerm("version", Wrong.NOT_IN_FORCE)
        elif name in BY_URGENCY:
            yield from _wrong_minutes(name, value)
        elif not _within(value, LIMITS[name]):
            yield WrongTerm(name, Wrong.OUT_OF_RANGE, LIMITS[name])


def _wrong_minutes(name: str, value: object) -> Iterator[WrongTerm]:
    limit = LIMITS[name]
    if not isinstance(value, Mapping):
        yield WrongTerm(name, Wrong.NOT_AN_OBJECT)
        return
    for urgency, minutes in value.items():
        if urgency not in list(Urgency):
            yield WrongTerm(f"{name}.{urgency}", Wrong.UNKNOWN)
        elif not _within(minutes, limit):
            yield WrongTerm(f"{name}.{urgency}", Wrong.OUT_OF_RANGE, limit)


def _within(value: object, limit: Limit) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (limit.whole and not isinstance(value, int)):
        return False
    return limit.least <= value <= limit.most


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
