"""The page of settings says what the code says: every variable once, with its default and its meaning."""

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from api.settings import ApiSettings
from db.settings import Settings
from relais.backups.settings import BackupSettings
from relais.up import HouseSettings
from tests.conftest import ROOT
from worker.settings import WorkerSettings

READERS: dict[str, type[BaseSettings]] = {
    "all": Settings,
    "api": ApiSettings,
    "worker": WorkerSettings,
    "`relais up`, `relais demo`": HouseSettings,
    "`relais backup`, `relais restore`": BackupSettings,
}


def rows() -> list[str]:
    """The table's rows, in the order in which the classes name their settings."""
    common = set(Settings.model_fields)
    lines = []
    for reader, settings in READERS.items():
        for name, field in settings.model_fields.items():
            if settings is not Settings and name in common:
                continue
            written = {PydanticUndefined: "must be set", None: "—"}
            default = written.get(field.default, f"`{field.default}`")
            lines.append(f"| `RELAIS_{name.upper()}` | {reader} | {default} | {field.description} |")
    return lines


def test_the_page_of_settings_says_what_the_code_says() -> None:
    page = (ROOT / "docs" / "settings.md").read_text().splitlines()
    assert [line for line in page if line.startswith("| `RELAIS_")] == rows()
