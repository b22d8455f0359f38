"""A mail server on this machine: it keeps what it took, and says what a test has it say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from worker.mail import MailServer

__all__ = ["TAKEN", "USER", "Mailbox", "body_of", "mailbox", "subject_of"]

TAKEN = "250 OK"
USER = ("relais", "a password")


@dataclass
class Mailbox:
    """Mails that were taken, in order, by recipient."""

    host: str = ""
    port: int = 0
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    answer: Callable[[], str] = lambda: TAKEN
    """What is said to a recipient."""
    after_text: Callable[[], str | None] = lambda: TAKEN
    """What is said once the text is there; where it is nothing, the connection is cut. It was taken all the same."""

    @property
    def server(self) -> MailServer:
        """The way to it."""
        return MailServer(self.host, self.port, "none", "relais@relais.example.org")

    @property
    def environment(self) -> dict[str, str]:
        """The same for a worker."""
        return {
            "RELAIS_MAIL_HOST": self.host,
            "RELAIS_MAIL_PORT": str(self.port),
            "RELAIS_MAIL_SECURITY": "none",
            "RELAIS_MAIL_FROM": "relais@relais.example.org",
            "RELAIS_PUBLIC_URL": "https://relais.example.org/console",
        }

    @property
    def mails(self) -> list[Message]:
        """What was taken."""
        return [message_from_bytes(content) for _, content in self.taken]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """A recipient is named."""
        said = self.answer()
        if said == TAKEN:
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The text came."""
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append((envelope.rcpt_tos[0], content))
        said = self.after_text()
        if said is None:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return said or TAKEN


@asynccontextmanager
async def mailbox(authority: trustme.CA | None = None) -> AsyncIterator[Mailbox]:
    """A mail server, for as long as the block runs; with an authority one that asks for TLS and for `USER`."""
    box = Mailbox()
    guarded: dict[str, Any] = {}
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        guarded = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": _knows}
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(box, hostname="mail.example.org", **guarded), "127.0.0.1", 0
    )
    box.host, box.port = server.sockets[0].getsockname()[:2]
    try:
        yield box
    finally:
        server.close()


def _knows(_server: SMTP, _session: Session, _envelope: Envelope, _way: str, shown: LoginPassword) -> AuthResult:
    return AuthResult(success=(shown.login.decode(), shown.password.decode()) == USER, handled=False)


def body_of(mail: Message) -> str:
    """The text as people read it."""
    content = mail.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def subject_of(mail: Message) -> str:
    """The subject as people read it."""
    return str(make_header(decode_header(mail["Subject"])))
