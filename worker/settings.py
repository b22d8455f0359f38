"""Settings of the worker process."""

from pathlib import Path

from pydantic import Field, field_validator

from db.terms import Terms
from matching.notifying import named_hosts
from worker.mail import MailServer, Security
from worker.notices import Tellers

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
    mail_host: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9.:-]{1,253}$", description="Mail server for notifications; not set: no mail."
    )
    mail_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    mail_security: Security = Field(
        default="starttls", description="How it is spoken to: `starttls`, `tls`, or `none` (on the same machine)."
    )
    mail_user: str | None = Field(default=None, description="User of the mail server; none: nobody signs in.")
    mail_password_file: Path | None = Field(default=None, description="File with that user's password.")
    mail_from: str = Field(
        default="relais@localhost",
        pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253}$",
        description="From whom mail comes.",
    )
    notification_hosts: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.,:-]*$",
        description="Hosts of this network that channels may be at, also without HTTPS, as `host:port`, or `host` for "
        "ports 80 and 443; commas between.",
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

    @field_validator("routing_url", "mail_host", "mail_user", "mail_password_file", "notification_hosts", mode="before")
    @classmethod
    def _none_without_address(cls, written: object) -> object:
        return written or None

    @field_validator("notification_hosts")
    @classmethod
    def _with_ports_there_are(cls, written: str | None) -> str | None:
        named_hosts(written or "")
        return written

    def tellers(self) -> Tellers:
        """The ways by which channels are told."""
        server = None
        if self.mail_host:
            server = MailServer(
                host=self.mail_host,
                port=self.mail_port,
                security=self.mail_security,
                sender=self.mail_from,
                user=self.mail_user,
                password_file=self.mail_password_file,
            )
        return Tellers(server, named_hosts(self.notification_hosts or ""), self.public_url)
