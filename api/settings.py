"""Settings of the API process."""

from pydantic import Field, FilePath, field_validator

from api.clients import networks
from db.settings import Settings

__all__ = ["ApiSettings"]


class ApiSettings(Settings):
    """What the API reads from the environment."""

    body_bytes: int = Field(default=1_048_576, ge=1024, description="Bytes of the largest body that is read.")
    body_seconds: float = Field(
        default=20.0, gt=0, le=600, description="Seconds within which a request's head, and then its body, must come."
    )
    header_bytes: int = Field(default=32_768, ge=4096, description="Bytes of the largest head of a request.")
    wait_seconds: float = Field(
        default=10.0,
        ge=0,
        le=60,
        description="Seconds that an answer waits at most for a first hold (`Prefer: wait`).",
    )
    key_requests_per_minute: int = Field(default=6000, ge=1, description="Requests a minute with one key.")
    session_idle_minutes: int = Field(
        default=30, ge=1, le=30, description="Minutes after which a session of the console that nobody used is over."
    )
    session_hours: int = Field(default=12, ge=1, le=12, description="Hours after which one must sign in anew.")
    sign_in_misses_per_client: int = Field(
        default=20,
        ge=1,
        description="Keys that open nothing, in ten minutes from one network address (IPv6: its /64); as many tries by "
        "an issuer.",
    )
    slip_misses_per_client: int = Field(
        default=20, ge=1, description="Wrong slip codes in ten minutes from one network address (IPv6: its /64)."
    )
    slip_misses_in_all: int = Field(default=6000, ge=1, description="Wrong slip codes a minute from everybody.")
    slip_requests_per_code: int = Field(default=30, ge=1, description="Requests a minute with one slip code.")
    directory_requests_per_client: int = Field(
        default=600, ge=1, description="Requests a minute to the public directory from one network address."
    )
    trusted_proxies: str = Field(
        default="127.0.0.0/8,::1/128",
        description="Networks of the proxies before the API, whose `X-Forwarded-For` is believed; commas between.",
    )
    requests_at_once: int = Field(
        default=100, ge=1, le=10_000, description="Requests that one process works on at the same time."
    )
    requests_queued: int = Field(
        default=100, ge=0, le=10_000, description="Requests that wait for that; all others are answered 503 at once."
    )
    drain_seconds: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="Seconds that it takes requests on after it is told to stop, for a proxy to notice.",
    )
    finish_seconds: int = Field(
        default=12, ge=1, le=300, description="Seconds that running requests then have to come to their end."
    )
    behind_tls: bool = Field(
        default=False, description="Whether people reach it by HTTPS alone: browsers are then told to keep to that."
    )
    leave_url: str = Field(
        default="https://www.wikipedia.org/",
        pattern=r"^https://[^\s\"'<>]{1,200}$",
        description="Where the slip's page leads who wants to leave it quickly.",
    )

    basemap_file: FilePath | None = Field(
        default=None, description="A PMTiles file, drawn below the map of the console (docs/console.md)."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, written: str) -> str:
        networks(written)
        return written
