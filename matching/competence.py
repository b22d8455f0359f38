"""Whose legal duty each kind of help is, by country: a published, versioned table that operators keep true.

It decides nothing about anybody: unmet needs are counted by it, as evidence.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Competence", "Duty", "NotACompetence", "Responsibility", "competence_of"]

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_BASIS: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_MOST_FLAWS: Final = 20


class Duty(StrEnum):
    """Who must help by law."""

    STATE = "state"
    COUNTY = "county"
    """Between State and municipality: département, provincia, Land."""
    MUNICIPALITY = "municipality"
    NONE = "none"
    UNKNOWN = "unknown"
    """The table does not say; never written in it."""


@dataclass(frozen=True, slots=True)
class Responsibility:
    """A duty, and the article of law that it rests on."""

    duty: Duty
    basis: str


_NOBODY_KNOWS: Final = Responsibility(Duty.UNKNOWN, "")


@dataclass(frozen=True, slots=True)
class Competence:
    """A version of the table: by country (ISO 3166) and category."""

    version: int
    duties: Mapping[str, Mapping[str, Responsibility]]

    def of(self, country: str, category: str) -> Responsibility:
        """Whose duty it is there; `unknown` where the table does not say."""
        return self.duties.get(country, {}).get(category, _NOBODY_KNOWS)


class NotACompetence(Exception):  # noqa: N818 - named for what was given, as refusals are
    """What was given is no such table; says where, and repeats no value."""

    def __init__(self, *flaws: str) -> None:
        super().__init__("; ".join(flaws))
        self.flaws = flaws


def competence_of(version: int, duties: object, categories: Collection[str]) -> Competence:
    """The table of a file or a stored row. Raises `NotACompetence` with what is wrong with it."""
    flaws = [flaw for flaw, _ in zip(_flaws(duties, categories), range(_MOST_FLAWS), strict=False)]
    if flaws:
        raise NotACompetence(*flaws)
    assert isinstance(duties, Mapping)  # noqa: S101 - else there were flaws
    return Competence(
        version,
        {
            country: {
                category: Responsibility(Duty(entry["duty"]), entry["basis"]) for category, entry in by_category.items()
            }
            for country, by_category in duties.items()
        },
    )


def _flaws(duties: object, categories: Collection[str]) -> Iterator[str]:
    if not isinstance(duties, Mapping):
        yield "`duties` must be an object of countries"
        return
    for country, by_category in duties.items():
        if not _COUNTRY.fullmatch(str(country)):
            yield "each country must be two capital letters"
        elif not isinstance(by_category, Mapping):
            yield f"{country} must be an object of categories"
        else:
            for category, entry in by_category.items():
                if category not in categories:
                    yield f"{country} has something that is no category"
                elif not _is_entry(entry):
                    yield (
                        f"{country}.{category} must be an object of `duty` (state, county, municipality or none) and "
                        "`basis` (the law, 200 characters at most)"
                    )


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, Mapping)
        and set(entry) == {"duty", "basis"}
        and entry["duty"] in {Duty.STATE, Duty.COUNTY, Duty.MUNICIPALITY, Duty.NONE}
        and isinstance(entry["basis"], str)
        and bool(_BASIS.fullmatch(entry["basis"]))
    )
