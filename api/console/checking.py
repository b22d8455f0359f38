"""What a form says, looked at by what looks at the API's bodies; and what is wrong with it, told at its field."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from api.flaws import flaws_of
from api.problems import told
from api.wire import Wire
from api.wording import knows, say
from matching.refusals import Flaw, Invalid

__all__ = ["Flawed", "changed", "checked", "field_of", "flawed"]

Body = TypeVar("Body", bound=Wire)
_FIELDS: Final = {
    "rrule": "days",
    "location": "point",
    "staffing/skill": "skill",
    "staffing/people_per_volunteer": "each",
    "staffing/minimum": "minimum",
}
"""What forms call otherwise than requests."""
Flawed = dict[str, list[str]]
"""By field, what is wrong with it, in words."""


def checked(model: type[Body], said: Mapping[str, object]) -> Body:
    """The body that says the same; what was left empty is left out. Raises `Invalid`, as the API would."""
    return _valid(model, {name: value for name, value in said.items() if value not in ("", None)})


def changed(model: type[Body], changes: Mapping[str, object]) -> Body:
    """The change that says the same; what was left empty is to be taken away. Raises `Invalid`, as the API would."""
    return _valid(model, {name: None if value == "" else value for name, value in changes.items()})


def _valid(model: type[Body], said: Mapping[str, object]) -> Body:
    try:
        return model.model_validate(said)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise Invalid(flaws_of(found)) from None


def field_of(flaw: Flaw) -> str:
    """The field that a flaw is about, as forms call it; nothing where it is about none."""
    path = flaw.at.removeprefix("/").removeprefix("terms/")
    name = path.partition("/")[0]
    return _FIELDS.get(path) or _FIELDS.get(name, name)


def flawed(flaws: Iterable[Flaw], language: str) -> Flawed:
    """What is wrong, by field: said for people where there is such a sentence, else as programs are told it."""
    found: Flawed = {}
    for flaw in flaws:
        for_people = f"console.flaw.{flaw.code}"
        if knows(for_people):
            sentence = say(for_people, language, **dict(flaw.facts))
        else:
            (sentence,) = (each.message for each in told(Invalid((flaw,)), language)[0].errors or ())
        sentences = found.setdefault(field_of(flaw), [])
        if sentence not in sentences:
            sentences.append(sentence)
    return found
