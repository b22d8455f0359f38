"""No webhook's address leads into the house: hundreds of them are tried, with real listeners that count who comes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address

import httpcore
import pytest
import trustme

from matching.delivering import Trouble, host_and_port
from tests.worker.hostile import NAMES, hostile_urls, resolve
from tests.worker.receiver import NAME, Answer, Receiver, Told, receiving
from worker.outbound import Address, NotAnswered, Outbound, is_public

PUBLIC = (
    *("93.184.216.34", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4007::5"),
)


class Listeners:
    """Everything on this machine at one port, IPv4 and IPv6: how often somebody came."""

    def __init__(self) -> None:
        self.came = 0
        self.port = 0

    async def meet(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        writer.close()


@asynccontextmanager
async def listening_everywhere() -> AsyncIterator[Listeners]:
    made = Listeners()
    both = socket.has_dualstack_ipv6()
    taken = socket.create_server(
        ("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both, backlog=100
    )
    server = await asyncio.start_server(made.meet, sock=taken)
    made.port = taken.getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def attempt(outbound: Outbound, url: str) -> None:
    # What a library makes of an address that is none is not ours.
    with suppress(NotAnswered, httpcore.UnsupportedProtocol, ValueError, TypeError):
        await outbound.post(url, {}, b"{}")


async def reaching(outbound: Outbound, urls: Iterable[str], listeners: Listeners) -> list[str]:
    """Those of them at which somebody was reached."""
    reached = []
    for url in urls:
        before = listeners.came
        await attempt(outbound, url)
        if listeners.came > before:
            reached.append(url)
    return reached


async def on_this_machine(url: str) -> bool:
    """Whether an address leads to this machine alone, as a careless sender reads it: others are never tried."""
    try:
        parsed = httpcore.URL(url)
        found = [ip_address(each) for each in await resolve(parsed.host.decode(), parsed.port or 443)]
    except (ValueError, TypeError, OSError):
        return False
    return bool(found) and parsed.scheme in (b"https", b"http") and all(map(_is_here, found))


def _is_here(address: Address) -> bool:
    inner = getattr(address, "ipv4_mapped", None) or address
    return bool(inner.is_loopback or str(inner) in ("0.0.0.0", "::"))  # noqa: S104 - compared, not bound


async def test_hundreds_of_hostile_addresses_reach_nobody() -> None:
    async with listening_everywhere() as listeners:
        urls = hostile_urls(listeners.port)
        assert len(urls) >= 400
        guarded = Outbound(resolve)
        await asyncio.gather(*(attempt(guarded, url) for url in urls))
        # What an address leads to is looked at whatever is thought of how it is written.
        unread = replace(guarded, may_be_sent_to=lambda _url: True)
        await asyncio.gather(*(attempt(unread, url) for url in urls))
        assert listeners.came == 0
    read = [url for url in urls if host_and_port(url)]
    assert {httpcore.URL(url).host.decode() for url in read} <= NAMES.keys(), (
        "no number and no trick is taken for a name"
    )


async def test_control_without_the_guard_they_are_reached() -> None:
    async with listening_everywhere() as listeners:
        urls = hostile_urls(listeners.port)
        careless = Outbound(resolve, permits=lambda _address: True, may_be_sent_to=lambda _url: True)
        here = [url for url in urls if await on_this_machine(url)]
        reached = await reaching(careless, here, listeners)
        looked_at_alone = Outbound(resolve, permits=lambda _address: True)
        written_well = await reaching(looked_at_alone, here, listeners)
    assert len(reached) >= 60, reached
    assert len(written_well) >= 5, "names are written well wherever they lead"


async def test_the_address_that_is_connected_to_is_the_one_that_was_looked_at() -> None:
    """A name that answers something else the second time (rebinding): here one address of this machine is permitted."""
    authority = trustme.CA()
    async with receiving(authority, "127.0.0.2") as permitted:
        inner = await asyncio.start_server(_unwanted, "127.0.0.1", permitted.port)
        names = Rebinding()
        outbound = Outbound(names, lambda address: str(address) == "127.0.0.2", trust=trusting(authority))
        for _ in range(5):
            names.asked = 0
            assert (await outbound.post(permitted.url, {"webhook-id": "1"}, b"{}")).status == 204
            assert names.asked == 1
        assert len(permitted.told) == 5
        assert {told.headers["host"] for told in permitted.told} == {f"{NAME}:{permitted.port}"}
        inner.close()


async def test_control_who_asks_a_second_time_is_led_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    led_inside: list[str] = []
    async with receiving(authority, "127.0.0.2") as permitted:

        async def connect_by_name(_self: httpcore.AnyIOBackend, _host: str, port: int, *_: object) -> object:
            (address,) = await names(NAME, port)
            led_inside.append(address)
            raise httpcore.ConnectError

        names = Rebinding()
        monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_by_name)
        outbound = Outbound(names, lambda address: str(address) == "127.0.0.2", trust=trusting(authority))
        with pytest.raises(NotAnswered):
            await outbound.post(permitted.url, {}, b"{}")
    assert led_inside == ["127.0.0.1"]


class Rebinding:
    """A name that is good when it is asked for first, and leads inside from then on."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return ["127.0.0.2"] if self.asked == 1 else ["127.0.0.1"]


async def _unwanted(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    raise AssertionError("somebody was led inside")


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", sorted({each for found in NAMES.values() for each in found} - set(PUBLIC)))
def test_addresses_that_are_not_public_are_not(address: str) -> None:
    assert not is_public(ip_address(address))


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    async with receiving(authority) as receiver, listening_everywhere() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for written in (name, name.upper()):
                monkeypatch.setenv(written, f"http://127.0.0.1:{proxy.port}")
        outbound = Outbound(_here, lambda _address: True, trust=trusting(authority))
        assert (await outbound.post(receiver.url, {}, b"{}")).status == 204
        assert proxy.came == 0


async def test_who_does_not_answer_in_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.outbound._WHOLE_SECONDS", 0.2)
    authority = trustme.CA()
    never = asyncio.Event()

    async def wait(_told: Told) -> Answer:
        await never.wait()
        return 200, {}

    async with receiving(authority) as receiver:
        receiver.answer = wait
        outbound = Outbound(_here, lambda _address: True, trust=trusting(authority))
        with pytest.raises(NotAnswered) as late:
            await outbound.post(receiver.url, {}, b"{}")
        never.set()
    assert late.value.trouble is Trouble.TOO_SLOW


async def test_an_answer_that_is_none_and_one_without_end_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.outbound._CONNECT_SECONDS", 0.2)
    authority = trustme.CA()
    outbound = Outbound(_here, lambda _address: True, trust=trusting(authority))
    async with receiving(authority) as receiver:
        receiver.answer = _huge_head
        with pytest.raises(NotAnswered):
            await outbound.post(receiver.url, {}, b"{}")
    async with receiving(None) as plain:
        with pytest.raises(NotAnswered):
            await outbound.post(plain.url, {}, b"{}")
    assert Receiver().told == plain.told


async def _huge_head(_told: Told) -> Answer:
    return 200, {"X": "x" * 200_000}


async def _here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]
