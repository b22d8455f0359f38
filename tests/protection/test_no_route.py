"""Whoever tries to leave a network without a route is counted, even where the error was passed over."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.no_route import ATTEMPTED

TRIES = {
    "connection": """
        import socket
        try:
            socket.create_connection(("192.0.2.1", 443), timeout=1)
        except OSError:
            pass
    """,
    "connection_by_ipv6": """
        import socket
        try:
            socket.create_connection(("2001:db8::1", 443), timeout=1)
        except OSError:
            pass
    """,
    "datagram": """
        import socket
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("198.51.100.1", 53))
        except OSError:
            pass
    """,
    "question_for_a_name": """
        import socket
        try:
            socket.getaddrinfo("relais.invalid", 443)
        except OSError:
            pass
    """,
    "child": """
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "import urllib.request as web; web.urlopen('http://192.0.2.1')"])
    """,
}


def _without_servers() -> dict[str, str]:
    """Tests are told where their servers are; who enters another network starts none and needs none."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}


def run(folder: Path, **bodies: str) -> subprocess.CompletedProcess[str]:
    """A test with each of these bodies, where no route leads out; skips where the kernel forbids it."""
    file = folder / "test_some.py"
    file.write_text("".join(f"def test_{name}():\n{body}\n" for name, body in bodies.items()))
    only_these = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder), str(file))
    done = subprocess.run(
        [sys.executable, "-m", "tests.no_route", "--or-not-at-all", *only_these],
        cwd=ROOT,
        env={**_without_servers(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Nothing is run without a route" in done.stdout:
        pytest.skip(done.stdout.strip())
    return done


STAYS = """
    import socket
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert socket.gethostbyname("localhost") == "127.0.0.1"
"""


def test_who_stays_at_home_passes(tmp_path: Path) -> None:
    done = run(tmp_path, at_home=STAYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Attempts to leave: 0." in done.stdout


def test_control_whoever_tries_to_leave_fails_the_run_and_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, **TRIES, at_home=STAYS)
    assert f"{len(TRIES) + 1} passed" in done.stdout, done.stdout + done.stderr
    told = re.findall(r"^  (\d+) test_some.py::test_(\w+)$", done.stdout, re.MULTILINE)
    assert {who for _, who in told} == set(TRIES), done.stdout
    tried = sum(int(times) for times, _ in told)
    assert f"Attempts to leave: {tried}." in done.stdout, "each was counted, and nobody else"
    assert done.returncode == ATTEMPTED


def test_control_one_who_tries_is_enough_to_fail_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, connection=TRIES["connection"], at_home=STAYS)
    assert "Attempts to leave: 1." in done.stdout, done.stdout + done.stderr
    assert done.returncode == ATTEMPTED


def test_a_test_that_fails_fails_the_run(tmp_path: Path) -> None:
    assert run(tmp_path, fails="    assert False").returncode == 1
