"""A real issuer, as its package has it (npm's `oidc-provider`), and a person who signs in there by its own pages."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.conftest import ROOT

__all__ = ["agree", "real_issuer"]

_NODE = ROOT / "tests" / "node"
_FORM = re.compile(r'action="([^"]+)" method="post">\s*<input type="hidden" name="prompt" value="(\w+)"')


@asynccontextmanager
async def real_issuer(
    back: str, client: str, secret: str, siret: Mapping[str, object], *, signed: bool = False
) -> AsyncIterator[str]:
    """Its address, which is another site than this machine's number. The test is skipped where it is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine")
    if not (_NODE / "node_modules" / "oidc-provider").is_dir():
        pytest.skip("npm's oidc-provider is not installed: make setup does it where npm is")
    told = {"host": "localhost", "back": back, "client": client, "secret": secret, "siret": siret, "signed": signed}
    process = await asyncio.create_subprocess_exec(
        *(node, "issuer.js", json.dumps(told)),
        cwd=_NODE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(b"http://"):
                yield line.decode().strip()
                return
        raise AssertionError("it ended before it listened")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def agree(way: str, back: str, login: str) -> str:
    """Sign in there as somebody and say yes to all: where the browser is sent back to."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(way)
        for _ in range(10):
            if answer.is_redirect:
                there = str(answer.next_request.url) if answer.next_request else ""
                if there.startswith(back):
                    return there
                answer = await http.get(there)
                continue
            asked = _FORM.search(answer.text)
            assert asked is not None, answer.text
            answer = await http.post(asked[1], data={"prompt": asked[2], "login": login, "password": "any"})
    raise AssertionError("it never sends back")
