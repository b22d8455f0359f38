"""Ctrl-C at any moment of a start: a plain line and 130, never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relais.embedded.processes import wait_until
from tests.conftest import ROOT


def _imports(pid: int, library: str) -> bool:
    """Whether the process has loaded this compiled library."""
    try:
        return library in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("library", ["pydantic_core", "sqlalchemy", "cryptography"])
def test_ctrl_c_while_libraries_are_loaded_is_told_in_a_line(library: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "relais", "up"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RELAIS_PORT": "0"},  # were it to get so far, it would end with 2
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert wait_until(lambda: _imports(process.pid, library) or process.poll() is not None, 20)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGINT, said
    assert said.strip().splitlines()[-1].startswith("Stopped")
    assert "Traceback" not in said
