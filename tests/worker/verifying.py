"""Verifying what was told as receivers do: by the library of PyPI, and by the one of npm where it is installed."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.conftest import ROOT
from tests.worker.receiver import Told

__all__ = ["Message", "by_npm", "by_pypi"]

_NODE: Final = ROOT / "tests" / "node"


@dataclass(frozen=True)
class Message:
    """What was told, and the secret that it is verified with."""

    secret: str
    headers: Mapping[str, str]
    body: str

    @classmethod
    def of(cls, told: Told, secret: str) -> "Message":
        """One request."""
        return cls(secret, told.headers, told.body.decode())

    def with_body(self, body: str) -> "Message":
        """The same with another body."""
        return replace(self, body=body)

    def with_header(self, name: str, value: str) -> "Message":
        """The same with another header."""
        return replace(self, headers={**self.headers, name: value})


def by_pypi(messages: Sequence[Message]) -> list[bool]:
    """What the library for Python says of each."""
    return [_by_pypi(message) for message in messages]


def _by_pypi(message: Message) -> bool:
    try:
        Webhook(message.secret).verify(message.body, dict(message.headers), json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def by_npm(messages: Sequence[Message]) -> list[bool]:
    """What the library for JavaScript says of each; the test is skipped where it is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine")
    if not (_NODE / "node_modules" / "standardwebhooks").is_dir():
        pytest.skip("npm's standardwebhooks is not installed: make setup does it where npm is")
    lines = [json.dumps({"secret": m.secret, "headers": dict(m.headers), "body": m.body}) for m in messages]
    ran = subprocess.run(
        [node, "verify.js"], cwd=_NODE, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in ran.stdout.split()]
