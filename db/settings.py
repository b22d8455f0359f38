"""The settings that every process of Relais shares: where the truth is, where the bell is, and the keys.

Read once at start-up and passed down; nothing else reads the environment.
"""

import hmac
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, computed_field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Keys", "Settings"]


class Settings(BaseSettings):
    """Settings of any process, from `RELAIS_*` environment variables."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore")

    database_url: str = Field(
        description="postgresql+asyncpg:// address of the database, or of several (docs/scale.md)."
    )
    database_password_file: Path | None = Field(
        default=None, description="File with the database password, where the address has none."
    )
    listen_url: str | None = Field(
        default=None,
        description="The same past a pooler of transactions, where the database address leads to one (docs/scale.md).",
    )
    replica_url: str | None = Field(
        default=None,
        description="postgresql+asyncpg:// address of replicas, for what may be some seconds old (docs/scale.md).",
    )
    replica_seconds: float = Field(
        default=5.0, gt=0, le=300, description="Seconds that a replica may be behind to be read from."
    )
    redis_url: str | None = Field(
        default=None,
        description="redis:// or redis+sentinel:// address of the doorbell (docs/scale.md); empty or not set: none.",
    )
    secret_file: Path = Field(description="File with at least 32 random bytes: hashes of keys and codes hang on it.")
    address_key_file: Path = Field(description="File with 32 bytes, base64: exact places are encrypted under it.")
    pool_size: int = Field(default=10, ge=1, le=200, description="Database connections of this process.")
    pool_seconds: float = Field(
        default=2.0, gt=0, le=60, description="Seconds that one waits at most for a free connection of this process."
    )
    lock_seconds: int = Field(
        default=5, ge=1, le=300, description="Seconds that one statement waits at most for somebody else's lock."
    )
    statement_seconds: int = Field(default=10, ge=1, le=300, description="Seconds that one statement may run.")
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port on which this process shows its figures; none when not set."
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address on which it shows them: one that only those who watch can reach."
    )

    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#@\"'<>]{1,200}$",
        description="Address at which people open Relais: notifications end with it, issuers send back to it.",
    )

    @field_validator("listen_url", "replica_url", "redis_url", "public_url", mode="before")
    @classmethod
    def _none_where_empty(cls, written: object) -> object:
        return written or None

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @cached_property
    def database_address(self) -> str:
        """The database address with its password."""
        return self._with_password(self.database_url)

    @property
    def listen_address(self) -> str:
        """The address for connections that are kept for themselves, with its password."""
        return self._with_password(self.listen_url or self.database_url)

    @property
    def replica_address(self) -> str | None:
        """The address of replicas with its password."""
        return self._with_password(self.replica_url) if self.replica_url else None

    @property
    def public_origin(self) -> str | None:
        """`https://host[:port]` of the address at which people open this house."""
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    def _with_password(self, url: str) -> str:
        if self.database_password_file is None:
            return url
        password = quote(self.database_password_file.read_text().strip(), safe="")
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{parts.username or 'relais'}:{password}@{host}"))

    def keys(self) -> "Keys":
        """The keys derived from the secret file."""
        return Keys(self.secret_file.read_bytes())


class Keys:
    """Independent keys for each use, derived from one secret (HMAC-SHA256 as a pseudo-random function)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("the secret file holds less than 32 bytes: make a new one with 32 random bytes")
        self._secret = secret

    def of(self, use: str) -> bytes:
        """The 32-byte key for one use."""
        return hmac.digest(self._secret, use.encode(), "sha256")
