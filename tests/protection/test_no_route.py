"""Whoever tries to leave a network without a route is counted, even where the error was passed over."""

import os
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
    "connection by IPv6": """
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
    "question for a name": """
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


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """One test with this body, where no route leads out; skips where the kernel forbids it."""
    file = folder / "test_one.py"
    file.write_text(f"def test_one():\n{body}\n")
    only_this = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder), str(file))
    done = subprocess.run(
        [sys.executable, "-m", "tests.no_route", "--or-not-at-all", *only_this],
        cwd=ROOT,
        env={**_without_servers(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Nothing is run without a route" in done.stdout:
        pytest.skip(done.stdout.strip())
    return done


def test_who_stays_at_home_passes(tmp_path: Path) -> None:
    body = """
        import socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
        assert socket.gethostbyname("localhost") == "127.0.0.1"
    """
    done = run(tmp_path, body)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Attempts to leave: 0." in done.stdout


@pytest.mark.parametrize("way", TRIES)
def test_control_whoever_tries_to_leave_fails_the_run(tmp_path: Path, way: str) -> None:
    done = run(tmp_path, TRIES[way])
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "Attempts to leave: 0." not in done.stdout
    assert "test_one.py::test_one" in done.stdout, "it is told who it was"
    assert done.returncode == ATTEMPTED


def test_a_test_that_fails_fails_the_run(tmp_path: Path) -> None:
    assert run(tmp_path, "        assert False").returncode == 1
