"""Settings of the worker process."""

from pydantic import Field

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
    park_after: int = Field(default=5, ge=1, le=100, description="Broken looks in a row after which a need is parked.")
