"""Settings of the API process."""

from pydantic import Field

from db.settings import Settings

__all__ = ["ApiSettings"]


class ApiSettings(Settings):
    """What the API reads from the environment."""

    body_bytes: int = Field(default=1_048_576, ge=1024, description="Bytes of the largest body that is read.")
    wait_seconds: float = Field(
        default=10.0,
        ge=0,
        le=60,
        description="Seconds that an answer waits at most for a first hold (`Prefer: wait`).",
    )
