"""Settings of the worker process."""

from pydantic import Field, field_validator

from db.terms import Terms

__all__ = ["WorkerSettings"]


class WorkerSettings(Terms):
    """What the worker reads from the environment."""

    poll_seconds: float = Field(default=2.0, gt=0, le=60, description="Seconds between looks when nothing rings.")
    listen: bool = Field(
        default=True, description="Whether to be woken by the database (LISTEN); else only by looking."
    )
    side_by_side: int = Field(default=4, ge=1, le=64, description="Needs that are matched at the same time.")
    webhooks_side_by_side: int = Field(
        default=20, ge=1, le=500, description="Deliveries to webhooks at the same time, of at most four to each."
    )
    solvers: int = Field(default=1, ge=1, le=64, description="Processes that think about rounds.")
    routing_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="http:// address of a routing engine with OSRM's table service (docs/travel.md); not set: none.",
    )
    routing_profile: str = Field(
        default="driving", pattern="^[a-z0-9_-]{1,40}$", description="Profile of that engine that is asked."
    )
    routing_seconds: float = Field(default=5.0, gt=0, le=60, description="Seconds that one of its answers may take.")
    park_after: int = Field(default=5, ge=1, le=100, description="Broken looks in a row after which a need is parked.")

    @field_validator("routing_url", mode="before")
    @classmethod
    def _none_without_address(cls, written: object) -> object:
        return written or None
