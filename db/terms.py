"""How long things are kept after they are over: the settings of retention."""

from pydantic import Field

from db.settings import Settings

__all__ = ["Terms"]


class Terms(Settings):
    """Terms, counted from the end of a thing by the database's clock."""

    keep_needs_hours: int = Field(
        default=72, ge=1, le=720, description="Hours that a need and its allocations are kept after it has ended."
    )
    keep_answers_hours: int = Field(
        default=24, ge=24, le=48, description="Hours that answers are kept for requests with the same idempotency key."
    )
    keep_slots_days: int = Field(
        default=8, ge=1, le=90, description="Days that a slot which nobody's allocation shows is kept after its end."
    )
    keep_shifts_days: int = Field(
        default=14, ge=8, le=90, description="Days that shifts and pledges are kept after they are over."
    )
    keep_events_days: int = Field(default=30, ge=1, le=365, description="Days that events are kept.")
    keep_audit_days: int = Field(default=30, ge=1, le=365, description="Days that entries of the audit are kept.")
    keep_rounds_days: int = Field(default=30, ge=1, le=365, description="Days that rounds of the matching are kept.")
    keep_addresses_days: int = Field(
        default=30, ge=0, le=365, description="Days that an exact place is kept after the last offer at it has ended."
    )
    keep_keys_days: int = Field(
        default=30, ge=1, le=365, description="Days that an API key is listed after it was revoked or has expired."
    )
    keep_deliveries_days: int = Field(
        default=14, ge=4, le=90, description="Days that an event is kept for a webhook that does not take it."
    )
    keep_travel_days: int = Field(
        default=30, ge=1, le=365, description="Days that an answer of the routing engine counts; then it is asked anew."
    )
    keep_tombstones_days: int = Field(
        default=90, ge=1, le=3650, description="Days that tombstones are kept: no backup may be kept longer."
    )
