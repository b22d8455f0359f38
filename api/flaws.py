"""What is wrong with a request, in stable codes of our own: from the checker's findings to flaws.

The checker's own sentences and the values it looked at stay here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from matching.refusals import Flaw

__all__ = ["flaws_of", "may_be_named"]

_CODES: Final = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "enum": "not_one_of",
    "literal_error": "not_one_of",
    "int_parsing_size": "too_large",
    "greater_than": "too_small",
    "greater_than_equal": "too_small",
    "less_than": "too_large",
    "less_than_equal": "too_large",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "string_pattern_mismatch": "wrong_form",
    "unseen_characters": "unseen_characters",
    "finite_number": "not_a_number",
    "timezone_aware": "not_a_time_with_offset",
    "json_invalid": "not_json",
    "string_unicode": "unreadable_text",
}
_FAMILIES: Final = (
    ("int_", "not_a_whole_number"),
    ("float_", "not_a_number"),
    ("bool_", "not_true_or_false"),
    ("datetime_", "not_a_time_with_offset"),
    ("date_", "not_a_day"),
    ("time_", "not_a_local_time"),
    ("uuid_", "not_an_id"),
)
_LIMITS: Final = {
    "ge": "least",
    "gt": "least",
    "min_length": "least",
    "le": "most",
    "lt": "most",
    "max_length": "most",
}
_LIMITED: Final = {"too_small": "least", "too_short": "least", "too_large": "most", "too_long": "most"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def may_be_named(name: object) -> bool:
    """Whether a name that somebody sent looks like a field's: anything else might say something about a person."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def flaws_of(findings: Iterable[Mapping[str, Any]]) -> tuple[Flaw, ...]:
    """The checker's findings as flaws, without the values."""
    return tuple(_flaw(finding) for finding in findings)


def _flaw(finding: Mapping[str, Any]) -> Flaw:
    context: Mapping[str, Any] = finding.get("ctx") or {}
    code = _code(finding["type"])
    facts = {
        _LIMITS[name]: value if isinstance(value, int) else str(value)
        for name, value in context.items()
        if name in _LIMITS and isinstance(value, (int, float))
    }
    wanted = _LIMITED.get(code)
    if wanted and wanted not in facts:
        code = "not_understood"
    return Flaw(_place(finding["loc"]), code, tuple(facts.items()) if wanted else ())


def _code(found: str) -> str:
    if found in _CODES:
        return _CODES[found]
    for start, code in _FAMILIES:
        if found.startswith(start):
            return code
    return "wrong_type" if found.endswith("_type") else found


def _place(path: tuple[str | int, ...]) -> str:
    part, *steps = path
    if part == "body":
        return _pointer(steps)
    name = str(steps[0]) if steps else ""
    if part == "header":
        name = name.replace("-", "_").lower()
        return "-".join(word.capitalize() for word in name.split("_")) if may_be_named(name) else ""
    if not may_be_named(name):
        return ""
    return f"?{name}" if part == "query" else f"{{{name}}}"


def _pointer(steps: Iterable[str | int]) -> str:
    pointer = ""
    for step in steps:
        if not isinstance(step, int) and not may_be_named(step):
            break
        pointer += f"/{step}"
    return pointer
