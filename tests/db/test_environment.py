"""Wrong settings are told by name, with what is expected, and never with their value; in every process alike."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT

_VALUE = "hunter2-swordfish"
_PROCESSES = {
    "api": ["-m", "api"],
    "worker": ["-m", "worker"],
    "relais up": ["-m", "relais", "up"],
    "relais org list": ["-m", "relais", "org", "list"],
}


@pytest.mark.parametrize("process", _PROCESSES)
@pytest.mark.parametrize(
    "wrong",
    [
        {"RELAIS_DATABASE_URL": f"postgresql+asyncpg:relais:{_VALUE}@127.0.0.1/relais"},
        {"RELAIS_DATABASE_URL": _VALUE, "RELAIS_REDIS_URL": _VALUE, "RELAIS_SECRET_FILE": _VALUE},
    ],
    ids=["one", "several"],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(
    process: str, wrong: Mapping[str, str], secret_files: tuple[Path, Path]
) -> None:
    ended = subprocess.run(
        [sys.executable, *_PROCESSES[process]],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RELAIS_DATABASE_URL": "postgresql+asyncpg://relais@127.0.0.1:1/relais",
            "RELAIS_SECRET_FILE": str(secret_files[0]),
            "RELAIS_ADDRESS_KEY_FILE": str(secret_files[1]),
            **wrong,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2, said
    assert set(re.findall(r"^ *(RELAIS_\w+) .*Expected", said, re.MULTILINE)) == set(wrong), said
    assert "docs/settings.md" in said
    assert _VALUE not in said
    assert "Traceback" not in said
