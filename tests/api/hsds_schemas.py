"""The official JSON Schemas of HSDS 3.0, which are not part of the project: where they lie, and what they say."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from tests.conftest import ROOT

__all__ = ["flaws_of"]

_FOLDERS = (os.environ.get("RELAIS_HSDS_SCHEMAS", ""), str(ROOT.parent / "shared" / "hsds"))


@cache
def _validator(name: str) -> Draft202012Validator:
    folder = next((Path(each) for each in _FOLDERS if each and (Path(each) / "service.json").exists()), None)
    if folder is None:
        pytest.skip("the schemas of HSDS 3.0 are not on this machine: RELAIS_HSDS_SCHEMAS names their folder")
    return Draft202012Validator(json.loads((folder / f"{name}.json").read_text()), validate_formats=True)


def flaws_of(name: str, entries: list[Any]) -> list[str]:
    """What the schema of this name (`service`, `service_list`, …) finds wrong with each of these."""
    validator = _validator(name)
    return [f"{each.get('id')}: {flaw.message}" for each in entries for flaw in validator.iter_errors(each)]
