"""By Apprise: a service is really asked, and whatever address it is given, it reaches public places alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from matching.notifying import Fault, HostPort
from web.notices import notice_text
from worker.apprised import Door, DoorShut
from worker.notices import Tellers

SILENCE = "silence"
WORDS = notice_text("awaits", "en", "https://relais.example.org/console")


@dataclass
class Service:
    """Something that listens on this machine, and whatever it was asked."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    status: str = "200 OK"
    location: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request; where there is no status, break off, and where that is silence, say nothing."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        self.asked.append(head + await reader.readexactly(length))
        if self.status == SILENCE:
            await self.ended.wait()
        elif self.status:
            location = f"Location: {self.location}\r\n" if self.location else ""
            writer.write(
                f"HTTP/1.1 {self.status}\r\n{location}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
            )
        writer.close()


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    """One, for as long as the block runs."""
    here = Service()
    server = await asyncio.start_server(here.answer, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        here.ended.set()
        server.close()


def tellers(*hosts: HostPort, patience: float = 30) -> Tellers:
    return Tellers(None, frozenset(hosts), None, patience)


async def test_a_service_that_the_operator_named_is_told_in_these_words() -> None:
    async with service() as here:
        assert await tellers(("127.0.0.1", here.port)).tell(f"ntfy://127.0.0.1:{here.port}/night", WORDS) is None
        (asked,) = here.asked
    assert WORDS.body in json.loads(asked.partition(b"\r\n\r\n")[2])["message"]
    assert b"Apprise" not in asked.partition(b"\r\n\r\n")[2]


async def test_what_comes_of_it_is_told_apart() -> None:
    expected = {"403 Forbidden": Fault.REFUSED, "302 Found": Fault.REFUSED, "": Fault.UNSURE}

    async def asked(status: str) -> Fault | None:
        async with service() as here, service() as elsewhere:
            here.status, here.location = status, f"http://127.0.0.1:{elsewhere.port}/"
            fault = await tellers(("127.0.0.1", here.port)).tell(f"ntfy://127.0.0.1:{here.port}/night", WORDS)
            assert (len(here.asked), elsewhere.asked) == (1, [])
            return fault

    faults = await asyncio.gather(*map(asked, expected))
    assert dict(zip(expected, faults, strict=True)) == expected


async def test_what_was_asked_and_is_not_answered_in_time_may_have_arrived() -> None:
    async with service() as here:
        here.status = SILENCE
        slow = tellers(("127.0.0.1", here.port), patience=1)
        assert await slow.tell(f"ntfy://127.0.0.1:{here.port}/night", WORDS) is Fault.UNSURE
        assert len(here.asked) == 1


async def test_all_numbers_of_an_address_are_asked_while_there_is_time() -> None:
    numbers = [f"+1555765432{digit}" for digit in range(4)]
    async with service() as here:
        patient = tellers(("127.0.0.1", here.port), patience=10)
        address = f"signal://127.0.0.1:{here.port}/+15551234567/{'/'.join(numbers)}"
        assert await patient.tell(address, WORDS) is None
        asked = b" ".join(here.asked).decode()
    assert [number in asked for number in numbers] == [True] * 4


async def test_where_no_process_can_be_had_it_surely_did_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert await tellers().tell("ntfys://ntfy.example.org/night", WORDS) is Fault.UNREACHABLE


async def test_nothing_of_this_network_is_reached_unless_the_operator_named_it(*, long: bool) -> None:
    async with service() as here:
        hidden = (
            *(
                "ntfys://127.0.0.1:{}/night",
                "json://localhost:{}/night",
                "matrixs://u:p@localhost:{}/!room:example.org",
            ),
            "signals://127.1:{}/+15551234567/+15557654321",
        )
        for address in hidden if long else hidden[:2]:
            assert (
                await tellers(("127.0.0.9", here.port), ("127.0.0.1", 80)).tell(address.format(here.port), WORDS)
                is Fault.UNREACHABLE
            ), address
        assert here.asked == []
        for hosts in ((), (("127.0.0.1", 80),)):
            assert await tellers(*hosts).tell(f"ntfy://127.0.0.1:{here.port}/night", WORDS) is Fault.NOT_SET_UP
        # The control: the same with the door open is there.
        assert await tellers(("127.0.0.1", here.port)).tell(f"json://127.0.0.1:{here.port}/a", WORDS) is None


@pytest.fixture
def door() -> Door:
    return Door(frozenset({("10.0.0.7", 8080)}))


@pytest.mark.parametrize(
    ("event", "argument", "open_to"),
    [
        ("socket.connect", ("93.184.216.34", 443), True),
        ("socket.connect", ("10.0.0.7", 8080), True),
        ("socket.connect", ("10.0.0.7", 6379), False),
        ("socket.connect", ("10.0.0.8", 8080), False),
        ("socket.connect", ("169.254.169.254", 80), False),
        ("socket.connect", ("::ffff:127.0.0.1", 80, 0, 0), False),
        ("socket.connect", ("db", 5432), False),
        ("socket.connect", "/run/docker.sock", False),
        ("socket.sendto", ("93.184.216.34", 53), False),
        ("subprocess.Popen", "sh", False),
        ("os.system", "sh", False),
        ("open", "certificates", True),
    ],
)
def test_the_door_opens_to_public_places_by_tcp_alone(
    door: Door, event: str, argument: object, *, open_to: bool
) -> None:
    if open_to:
        door.watch(event, (None, argument))
    else:
        with pytest.raises(DoorShut):
            door.watch(event, (None, argument))


def test_a_question_on_its_way_may_arrive_and_after_the_word_there_is_none(door: Door) -> None:
    """Apprise gives up on a service, and its thread goes on."""
    door.ask()
    assert door.fault() is Fault.UNSURE
    with pytest.raises(DoorShut):
        door.ask()


def test_what_never_left_or_was_refused_surely_did_not_arrive(door: Door) -> None:
    door.ask()
    door.never_left()
    assert door.fault() is Fault.UNREACHABLE
    door.over = False
    door.ask()
    door.answered(403)
    assert door.fault() is Fault.REFUSED
    door.over = False
    door.ask()
    door.answered(200)
    assert door.fault() is Fault.UNSURE
