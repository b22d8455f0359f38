"""The generated part of `docs/protection.md`. `python -m tests.relais.protection_page` writes it anew."""

import re

from db.tables.protection import page
from db.terms import Terms
from tests.conftest import ROOT

__all__ = ["FILE", "generated", "written"]

FILE = ROOT / "docs" / "protection.md"
_PART = re.compile(r"(?<=<!-- stored -->\n).*?(?=<!-- /stored -->)", re.DOTALL)


def generated() -> str:
    """What the part should say."""
    fields = {name: field for name, field in Terms.model_fields.items() if name.startswith("keep_")}
    terms = {name: f"{field.default} {name.rpartition('_')[2]}" for name, field in fields.items()}
    return "\n".join(["", *page(terms), "", ""])


def written() -> str:
    """What it says."""
    found = _PART.search(FILE.read_text())
    assert found, "the marks of the generated part are gone"
    return found[0]


if __name__ == "__main__":
    FILE.write_text(_PART.sub(lambda _: generated(), FILE.read_text()))
