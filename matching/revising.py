"""Changing the policy: what each weight and limit may be, and what is wrong with a change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from matching.policy import Policy
from matching.refusals import Flaw, Invalid
from matching.vocabulary import Urgency

__all__ = ["LIMITS", "Limit", "revised"]


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
    "tentative_seconds": Limit(0, 600),
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
}
"""By term; `answer_minutes` has one value for each urgency."""


def revised(policy: Policy, changes: Mapping[str, object]) -> Policy:
    """The next version, with these terms changed. Raises `Invalid` with every flaw; no value is repeated in it.

    A `version` among the changes says which version they were written for: it must be the one given.
    """
    flaws = tuple(_flaws(policy, changes))
    if flaws:
        raise Invalid(flaws)
    terms = {name: value for name, value in changes.items() if name != "version"}
    if "answer_minutes" in terms:
        terms["answer_minutes"] = {**policy.answer_minutes, **_mapping(terms["answer_minutes"])}
    made = replace(policy, version=policy.version + 1, **terms)  # type: ignore[arg-type]
    if made.stale_after_days <= made.verify_after_days:
        raise Invalid.one("/stale_after_days", "not_after_verify")
    return made


def _flaws(policy: Policy, changes: Mapping[str, object]) -> Iterator[Flaw]:
    known = {field.name for field in fields(Policy)}
    for name, value in changes.items():
        if name not in known:
            yield Flaw(f"/{name}", "unknown_field")
        elif name == "version":
            if value != policy.version:
                yield Flaw("/version", "not_in_force")
        elif name == "answer_minutes":
            yield from _flaws_of_minutes(value)
        elif not _within(value, LIMITS[name]):
            yield _out_of_range(name, LIMITS[name])


def _flaws_of_minutes(value: object) -> Iterator[Flaw]:
    limit = LIMITS["answer_minutes"]
    if not isinstance(value, Mapping):
        yield Flaw("/answer_minutes", "not_an_object")
        return
    for urgency, minutes in value.items():
        if urgency not in list(Urgency):
            yield Flaw(f"/answer_minutes/{urgency}", "unknown_field")
        elif not _within(minutes, limit):
            yield _out_of_range(f"answer_minutes/{urgency}", limit)


def _within(value: object, limit: Limit) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (limit.whole and not isinstance(value, int)):
        return False
    return limit.least <= value <= limit.most


def _out_of_range(name: str, limit: Limit) -> Flaw:
    kind = "whole" if limit.whole else "any"
    return Flaw(
        f"/{name}", "out_of_range", (("least", f"{limit.least:g}"), ("most", f"{limit.most:g}"), ("kind", kind))
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
