"""The file of `relais whatif`: sites, pledges and arrivals that are not there, written as the API takes them.

`docs/whatif.md` defines it.
"""

from datetime import date, time
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from matching.vocabulary import Audience, Confirmation, SiteKind, Stay, Urgency, Visibility, is_provision, is_skill

__all__ = ["Arrivals", "ChangeFile", "NewOffer", "NewPact", "NewPledge", "NewSite", "WrongChange", "read"]

_MOST_BYTES = 1_000_000
_SHOWN = 5


class WrongChange(Exception):  # noqa: N818 - it is told to people, not a fault of the program
    """A change that cannot be made; the message says which, and what is expected."""


def _local(value: object) -> object:
    # A time of the wall is written with hours and minutes alone.
    return f"{value}:00" if isinstance(value, str) and len(value) == len("19:00") else value


def _known(value: str) -> str:
    if not is_provision(value):
        raise ValueError("no word of the vocabulary of what places provide")
    return value


def _skilled(value: str) -> str:
    if not is_skill(value):
        raise ValueError("no skill of the vocabulary")
    return value


Clock = Annotated[time, BeforeValidator(_local)]
Provision = Annotated[str, AfterValidator(_known)]
Skill = Annotated[str, AfterValidator(_skilled)]
Town = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1, le=10_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Point(_Strict):
    type: Literal["Point"] = "Point"
    coordinates: tuple[Annotated[float, Field(ge=-180, le=180)], Annotated[float, Field(ge=-90, le=90)]]


class _Staffing(_Strict):
    skill: Skill
    people_per_volunteer: Annotated[int, Field(ge=1, le=1000)]
    minimum: Annotated[int, Field(ge=0, le=100)] = 0


class NewOffer(_Strict):
    """An offer of a site that is not there, as `POST /v1/offers` takes it, without `site_id`."""

    category: str = "shelter"
    capacity: Annotated[int, Field(ge=0, le=10_000)]
    audience: Annotated[list[Audience], Field(min_length=1)] = [Audience.ANYONE]
    provides: list[Provision] = []
    confirmation: Confirmation = Confirmation.EACH
    confirm_within_minutes: Count = 60
    first_day: date
    last_day: date
    timezone: str | None = None
    opens: Clock
    closes: Clock
    rrule: str = "FREQ=DAILY"
    party_max: Count | None = None
    nights_max: Annotated[int, Field(ge=1, le=366)] | None = None
    arrive_by: Clock | None = None
    release_no_shows: bool = False


class NewSite(_Strict):
    """A site that is not there, as `POST /v1/sites` takes it, with its offers."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    town: Town
    kind: SiteKind = SiteKind.MUNICIPAL_BUILDING
    location: _Point | None = None
    visibility: Visibility = Visibility.ON_CONFIRMATION
    provides: list[Provision] = []
    staffing: _Staffing | None = None
    offers: Annotated[list[NewOffer], Field(min_length=1, max_length=100)]


class NewPledge(_Strict):
    """A pledge that is not there, as `POST /v1/pledges` takes it."""

    skill: Skill
    headcount: Annotated[int, Field(ge=1, le=1000)]
    town: Town
    radius_km: Annotated[int, Field(ge=0, le=500)]
    first_day: date
    last_day: date
    rrule: str = "FREQ=DAILY"
    from_: Annotated[Clock, Field(alias="from")]
    until: Clock
    timezone: str | None = None
    shifts_per_week_max: Annotated[int, Field(ge=1, le=100)]


class Arrivals(_Strict):
    """People who come tonight, or so many nights from now, in parties of one size."""

    people: Count
    town: Town
    parties_of: Annotated[int, Field(ge=1, le=500)] = 2
    after_nights: Annotated[int, Field(ge=0, le=60)] = 0
    nights: Annotated[int, Field(ge=1, le=60)] = 1
    urgency: Urgency = Urgency.NORMAL
    stay: Stay = Stay.UNKNOWN
    audience: Annotated[list[Audience], Field(min_length=1)] = [Audience.ANYONE]
    requires: list[Provision] = []
    countries: list[Annotated[str, Field(pattern="^[A-Z]{2}$")]] = []
    max_km: Annotated[int, Field(ge=1, le=1000)] | None = None


class NewPact(_Strict):
    """A pact that is not there, in force at once; the terms are those of `POST /v1/pacts`, as far as they matter here.

    `town` is the proposer's, `partner` the other one.
    """

    town: Town
    partner: Town
    to_partner_per_week: Annotated[int, Field(ge=0, le=10_000)]
    to_proposer_per_week: Annotated[int, Field(ge=0, le=10_000)] = 0
    categories: Annotated[list[str], Field(min_length=1, max_length=50)] = ["shelter"]
    crosses_border: bool = False


class ChangeFile(_Strict):
    """All changes that are looked at together."""

    close: list[str] = []
    """Sites, by name or id."""
    sites: Annotated[list[NewSite], Field(max_length=100)] = []
    pledges: Annotated[list[NewPledge], Field(max_length=100)] = []
    without_pledges: list[UUID] = []
    arrivals: Annotated[list[Arrivals], Field(max_length=100)] = []
    pacts: Annotated[list[NewPact], Field(max_length=1000)] = []
    without_pacts: list[UUID] = []


def read(path: Path) -> ChangeFile:
    """Read a file of changes. Raises `WrongChange`."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise WrongChange(f"{path} is larger than a megabyte.")
        return ChangeFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WrongChange(f"{path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [f"  {_place(each['loc'])}: {each['msg']}" for each in found[:_SHOWN]]
        more = [f"  and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise WrongChange("\n".join([f"{path} does not say what would change:", *told, *more])) from None


def _place(location: tuple[int | str, ...]) -> str:
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return written.removeprefix(".") or "the file"
