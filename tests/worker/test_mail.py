"""Mail by the operator's server: over TLS with a good certificate, with a user, and to nobody else."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from matching.notifying import Fault
from tests.worker.mailbox import USER, Mailbox, mailbox
from web.notices import notice_text
from worker.mail import MailServer, send_mail
from worker.notices import Tellers

ADDRESS = "night@town-hall.example.org"


def guarded(box: Mailbox, folder: Path, password: str = USER[1]) -> MailServer:
    """The way to a server that asks for TLS and a user."""
    (folder / "password").write_text(f"{password}\n")
    known = {"host": "localhost", "security": "starttls", "user": USER[0], "password_file": folder / "password"}
    return replace(box.server, **known)  # type: ignore[arg-type]


async def sent(server: MailServer) -> Fault | None:
    return await asyncio.to_thread(send_mail, server, ADDRESS, "Relais: a line", "A line\n.\nand a dot")


async def test_it_goes_over_tls_with_a_user_and_arrives_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with mailbox(authority) as box:
        assert await sent(guarded(box, tmp_path)) is None
        assert await sent(guarded(box, tmp_path, "another")) is Fault.NOT_SET_UP
        ((recipient, _),) = box.taken
        (mail,) = box.mails
    assert recipient == ADDRESS
    content = mail.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.decode().splitlines() == ["A line", ".", "and a dot"]


async def test_nothing_is_said_to_who_has_a_certificate_of_nobody_known_or_no_tls(tmp_path: Path) -> None:
    async with mailbox(trustme.CA()) as box, mailbox() as bare:
        assert await sent(guarded(box, tmp_path)) is Fault.UNREACHABLE
        assert await sent(guarded(bare, tmp_path)) is Fault.UNREACHABLE
        assert (box.taken, bare.taken) == ([], [])
        # The control: without TLS being asked for, it is taken.
        assert await sent(bare.server) is None


async def test_a_mail_server_that_hangs_keeps_no_other_thread() -> None:
    """Not the one, here, that would think about a round."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    asked, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await ended.wait()
        writer.close()

    listening = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    server = MailServer("127.0.0.1", listening.sockets[0].getsockname()[1], "none", "relais@relais.example.org")
    told = asyncio.create_task(Tellers(server, frozenset(), None).tell(ADDRESS, notice_text("test", "en", None)))
    await asked.wait()
    assert await asyncio.to_thread(int) == 0
    assert not told.done()
    ended.set()
    assert await told is Fault.UNREACHABLE
    listening.close()
