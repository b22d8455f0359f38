"""E-mail by the operator's own server: one recipient, one text, and whether it was taken, refused, or nobody knows.

Written with the standard library and not through Apprise, which tells success from failure and not the third: a mail
whose connection broke after its text had gone may have arrived, and is never sent again.
"""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final, Literal

from matching.notifying import Fault

__all__ = ["MailServer", "Security", "send_mail"]

Security = Literal["starttls", "tls", "none"]
_SECONDS: Final = 15.0
"""That each step may take."""
_GO_ON: Final = 354
_TAKEN: Final = 250
_ACCEPTED: Final = frozenset({250, 251})


@dataclass(frozen=True)
class MailServer:
    """The operator's mail server, and from whom mail comes."""

    host: str
    port: int
    security: Security
    sender: str
    user: str | None = None
    password_file: Path | None = field(default=None, repr=False)

    def connect(self) -> smtplib.SMTP:
        """A connection that is ready for a mail. Raises `OSError` (`smtplib.SMTPException` is one)."""
        trust = ssl.create_default_context()
        if self.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_SECONDS, context=trust)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
        try:
            if self.security == "starttls":
                smtp.starttls(context=trust)
            if self.user:
                smtp.login(self.user, self.password_file.read_text().strip() if self.password_file else "")
        except BaseException:
            smtp.close()
            raise
        return smtp


def send_mail(server: MailServer, recipient: str, subject: str, body: str) -> Fault | None:
    """Send one mail: what came in its way, nothing where it was taken.

    It is `UNSURE` when the connection broke after the text began; everything else surely did not arrive.
    """
    try:
        smtp = server.connect()
    except smtplib.SMTPResponseException:
        # It does not take us: our user, our password, our address. Nobody's channel is to blame.
        return Fault.NOT_SET_UP
    except (OSError, ValueError):
        return Fault.UNREACHABLE
    try:
        return _given(smtp, server.sender, recipient, _written(server.sender, recipient, subject, body))
    finally:
        smtp.close()


def _given(smtp: smtplib.SMTP, sender: str, recipient: str, written: bytes) -> Fault | None:
    try:
        smtp.ehlo_or_helo_if_needed()
        if smtp.mail(sender)[0] != _TAKEN:
            return Fault.NOT_SET_UP
        if smtp.rcpt(recipient)[0] not in _ACCEPTED:
            return Fault.REFUSED
        if smtp.docmd("data")[0] != _GO_ON:
            return Fault.REFUSED
    except OSError:
        return Fault.UNREACHABLE
    try:
        smtp.send(written)
        return None if smtp.getreply()[0] == _TAKEN else Fault.REFUSED
    except OSError:
        return Fault.UNSURE


def _written(sender: str, recipient: str, subject: str, body: str) -> bytes:
    """The mail as it goes over the wire, with its end."""
    mail = EmailMessage()
    mail["From"] = f"Relais <{sender}>"
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body, cte="base64")
    # In base64 no line begins with a dot.
    text = mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return text + b".\r\n"
