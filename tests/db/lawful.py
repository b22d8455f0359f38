"""What the linter finds in migrations and why it was lawful then: by migration, rule and reason.

A migration that is not here must have no finding. The rules are squawk's.
"""

from typing import Final

__all__ = ["LAWFUL"]

_EMPTY: Final = "written before the first release, for tables that were empty"
_COUNTS: Final = "counts of people, minutes, kilometres and GeoNames numbers never reach two thousand million"
_LISTED: Final = "what may stand there is a closed list, checked by the table"
_SMALL: Final = "the table is small: a row for a site, an offer or a day"
_FEW: Final = "the table has a handful of rows, and its check only widens"
_TRIES: Final = "counts of attempts and of secrets stay small"
_DAYS: Final = "needs live for days, and are deleted when they are over: what is read through is small"
_NOTICES: Final = "notices live for days, and their checks only widen"
_WIDENS: Final = "no code that was running wrote or expected an empty value there"

LAWFUL: Final[dict[str, dict[str, str]]] = {
    "0001_pre_first_tables": {"prefer-bigint-over-int": _COUNTS, "prefer-text-field": _LISTED},
    "0002_pre_rounds": {"prefer-bigint-over-int": _COUNTS},
    "0003_pre_slots_set_aside": {"ban-drop-not-null": _WIDENS},
    "0004_pre_pledges_and_shifts": {"prefer-bigint-over-int": _COUNTS},
    "0005_pre_fairness": {"prefer-bigint-over-int": _COUNTS},
    "0007_pre_rounds_by_territory": {"require-concurrent-index-creation": _EMPTY},
    "0008_pre_slips": {"require-concurrent-index-creation": _EMPTY},
    "0009_pre_feedback": {"prefer-bigint-over-int": _COUNTS},
    "0011_pre_retention": {
        "prefer-bigint-over-int": _COUNTS,
        "ban-drop-not-null": _WIDENS,
        "require-concurrent-index-creation": _EMPTY,
    },
    "0012_pre_shifts_still_coming": {"prefer-bigint-over-int": _COUNTS},
    "0013_pre_tenancy": {
        "prefer-bigint-over-int": _COUNTS,
        "adding-field-with-default": _SMALL,
        "adding-not-nullable-field": _SMALL,
        "constraint-missing-not-valid": _SMALL,
        "adding-foreign-key-constraint": _SMALL,
        "require-concurrent-index-creation": _SMALL,
    },
    "0015_pre_event_feeds": {
        "constraint-missing-not-valid": _EMPTY,
        "require-concurrent-index-creation": _EMPTY,
    },
    "0016_pre_webhooks": {
        "ban-drop-constraint": _FEW,
        "constraint-missing-not-valid": _FEW,
        "prefer-bigint-over-int": _TRIES,
    },
    "0018_pre_figures": {"prefer-bigint-over-int": _COUNTS},
    "0020_pre_practices": {"prefer-bigint-over-int": _COUNTS},
    "0023_pre_pathways": {"prefer-bigint-over-int": _COUNTS, "require-concurrent-index-creation": _DAYS},
    "0014_pre_due_needs_by_key": {
        "require-concurrent-index-deletion": _EMPTY,
        "require-concurrent-index-creation": _EMPTY,
    },
    "0017_pre_pacts": {"prefer-bigint-over-int": _COUNTS},
    "0024_pre_travel": {"prefer-bigint-over-int": _COUNTS},
    "0025_pre_awaits": {"prefer-bigint-over-int": _COUNTS},
    "0027_pre_notifications": {"prefer-bigint-over-int": _TRIES},
    "0030_pre_notices_of_referrals": {
        "adding-foreign-key-constraint": _NOTICES,
        "ban-drop-constraint": _NOTICES,
        "constraint-missing-not-valid": _NOTICES,
        "require-concurrent-index-creation": _NOTICES,
    },
}
