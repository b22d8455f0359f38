"""The number of a request: a proxy's where nobody could have made a word of it, on its answer and on all its lines."""

import json
import re
from uuid import uuid4

import httpx
import pytest
from structlog import get_logger
from structlog.contextvars import bound_contextvars

from api.front_door import FrontDoor
from api.metrics import Metrics
from api.presence import Presence

HEXADECIMAL, WITH_DASHES = "0f" * 16, "5f0c3c0e-7a39-4a2d-9d0b-0d7a8d7d1c11"
OURS = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize("given", [HEXADECIMAL, WITH_DASHES])
async def test_a_number_of_a_proxy_is_kept(anyone: httpx.AsyncClient, given: str) -> None:
    answer = await anyone.get("/healthz", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    ["Amina-Diallo", "+33612345678", "0612345678", "a" * 33, "A" * 32, "", "1" * 16, f"{WITH_DASHES}é", "é" * 32],
)
async def test_what_could_be_about_a_person_is_not(
    anyone: httpx.AsyncClient, capfd: pytest.CaptureFixture[str], given: str
) -> None:
    answer = await anyone.get("/healthz", headers=[(b"X-Request-Id", given.encode())])
    assert OURS.fullmatch(answer.headers["x-request-id"])
    assert not given or f'"{given}"' not in capfd.readouterr().err


async def test_every_line_of_a_request_carries_it_and_no_line_of_another(capfd: pytest.CaptureFixture[str]) -> None:
    async def app(_scope: object, _receive: object, send: object) -> None:
        get_logger().warning("something.within")
        assert callable(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    door = FrontDoor(app, Metrics(), Presence(), behind_tls=False)
    given = [uuid4().hex, uuid4().hex]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://relais.test") as http:
        for each in given:
            await http.get("/", headers={"X-Request-Id": each})
    get_logger().warning("something.without")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [line.get("request_id") for line in lines if line["event"] == "something.within"] == given
    assert [line.get("request_id") for line in lines if line["event"] == "something.without"] == [None]
    with bound_contextvars(need="secret"):
        get_logger().warning("something.bound")
    assert "secret" not in capfd.readouterr().err
