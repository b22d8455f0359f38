"""The words that cross the wire: the model that every body is made of, and the types that its fields share.

A field says what it takes so exactly that the OpenAPI document and the check are the same thing. Unknown fields are
refused, and nothing is bent into shape: "1" is no number, `true` is no count, a moment carries its offset.
"""

import re
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, time
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from matching.bounds import LATITUDE, LONGITUDE, NAME_CHARACTERS, TOWN_ID, VISIBLE_LINE, visible_line
from matching.countries import COUNTRIES
from matching.refusals import Flaw, Invalid
from matching.vocabulary import LANGUAGES, PROVISIONS, SKILLS, is_provision, is_skill

__all__ = [
    "CategoryCode",
    "CountryCode",
    "Day",
    "Instant",
    "KnownCountry",
    "LanguageCode",
    "Latitude",
    "LocalTime",
    "Longitude",
    "Provision",
    "ShortText",
    "Skill",
    "TimezoneName",
    "TownId",
    "Wire",
    "emptied",
]

_WRITTEN: Final = {
    "datetime": re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII),
    "date": re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
}
_EXACT: Final = frozenset({"int", "float", "bool"})
_PLAIN: Final = frozenset({"metadata", "serialization", "ref", "default", "expected", "members", "config"})
"""Parts of a core schema that hold no schemas of fields."""


def _written(kind: str) -> Callable[[object], object]:
    """Refuse what the parser would read as a moment though nobody wrote one, such as a count of seconds."""
    form = _WRITTEN[kind]

    def check(value: object) -> object:
        if isinstance(value, (int, float)) or (isinstance(value, str) and not form.fullmatch(value)):
            raise PydanticCustomError(f"{kind}_parsing", "not written as in RFC 3339")
        return value

    return check


_CHECKS: Final = {kind: _written(kind) for kind in _WRITTEN}


def _exactly(part: object) -> object:
    """The same core schema, with numbers and truths taken as they are and times only as written."""
    if isinstance(part, list):
        return [_exactly(each) for each in part]
    if not isinstance(part, dict):
        return part
    # A model may have a field that is called "type": then this is its table of fields, and no kind of schema.
    kind = part.get("type") if isinstance(part.get("type"), str) else None
    if kind == "function-before" and part["function"]["function"] in _CHECKS.values():
        return part  # a model inside another is seen twice
    made = {key: value if key in _PLAIN else _exactly(value) for key, value in part.items()}
    if kind in _EXACT:
        made["strict"] = True
    if kind in _WRITTEN:
        return core_schema.no_info_before_validator_function(_CHECKS[kind], made)
    return made


class Wire(BaseModel):
    """What is sent or answered. Unknown fields are refused and never repeated."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Numbers are taken only as numbers, truths as truths, times as RFC 3339 writes them."""
        return _exactly(handler(source))  # type: ignore[return-value]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_out_of_range", "too far away") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment, with its offset when it comes in; answered in UTC."""
Day = Annotated[date, BeforeValidator(_CHECKS["date"])]
"""A day in a query, where no model looks after how it is written."""

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _local_time(value: object) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return time.fromisoformat(value)
    raise PydanticCustomError("time_parsing", "not a local time")


LocalTime = Annotated[
    time,
    BeforeValidator(_local_time),
    PlainSerializer(lambda clock: clock.strftime("%H:%M"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$", "maxLength": 5, "examples": ["19:00"]}),
]
"""A time on the wall of the place, hours and minutes: `19:00`."""


def _short_text(text: str) -> str:
    composed = visible_line(text)
    if composed is None:
        raise PydanticCustomError("unseen_characters", "holds characters that cannot be seen")
    return composed


ShortText = Annotated[
    str,
    Field(min_length=1, max_length=NAME_CHARACTERS, json_schema_extra={"pattern": f"^{VISIBLE_LINE.pattern}$"}),
    AfterValidator(_short_text),
]
"""A name of a building or of an organization: one visible line. There is no such text about people."""


def _one_of(known: Callable[[str], bool], code: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not known(value):
            raise PydanticCustomError(code, "not a word of the vocabulary")
        return value

    return check


def _with_languages(words: frozenset[str], *prefixes: str) -> list[str]:
    return sorted(words) + [f"{prefix}:{language}" for prefix in prefixes for language in sorted(LANGUAGES)]


Provision = Annotated[
    str,
    AfterValidator(_one_of(is_provision, "enum")),
    WithJsonSchema({"type": "string", "maxLength": 20, "enum": _with_languages(PROVISIONS, "interpreter")}),
]
"""What a place provides or a party requires."""
Skill = Annotated[
    str,
    AfterValidator(_one_of(is_skill, "enum")),
    WithJsonSchema({"type": "string", "maxLength": 20, "enum": _with_languages(SKILLS, "teaching", "interpreting")}),
]
"""What a volunteer can do."""
LanguageCode = Annotated[
    str,
    AfterValidator(_one_of(LANGUAGES.__contains__, "enum")),
    WithJsonSchema({"type": "string", "maxLength": 3, "enum": sorted(LANGUAGES)}),
]
"""ISO 639-1, or ISO 639-3 where there is no shorter code."""
CategoryCode = Annotated[str, Field(max_length=40, pattern=r"^[a-z][a-z_]*$", examples=["shelter"])]
"""The code of a category of help."""
CountryCode = Annotated[str, Field(max_length=2, pattern=r"^[A-Z]{2}$", examples=["FR"])]
"""ISO 3166-1, two capital letters, as it is answered."""
KnownCountry = Annotated[CountryCode, AfterValidator(_one_of(COUNTRIES.__contains__, "unknown_country"))]
"""The same where it is asked for: a country that there is. All of them in the document would only make it longer."""
TimezoneName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", examples=["Europe/Paris"])
]
"""A name of the IANA time zone database."""
TownId = Annotated[int, Field(ge=TOWN_ID.least, le=TOWN_ID.most, examples=[3030142])]
"""A town's number in GeoNames."""
Longitude = Annotated[float, Field(ge=LONGITUDE.least, le=LONGITUDE.most)]
"""Degrees east."""
Latitude = Annotated[float, Field(ge=LATITUDE.least, le=LATITUDE.most)]
"""Degrees north."""


def emptied(change: Wire, *, may_be_null: Collection[str]) -> None:
    """Refuse a change that sets to null what must be there. Raises `Invalid`."""
    names = sorted(
        (type(change).model_fields[name].alias or name)
        for name in change.model_fields_set
        if name not in may_be_null and getattr(change, name) is None
    )
    if names:
        raise Invalid(tuple(Flaw(f"/{name}", "required") for name in names))
