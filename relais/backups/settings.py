"""The settings of backups."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["BackupSettings"]


class BackupSettings(BaseSettings):
    """What `relais backup` and `relais restore` read; what is not set lies under `.relais/`."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore")

    backup_folder: Path | None = Field(
        default=None, description="Folder of the backups; `.relais/backups` when not set."
    )
    backup_key_file: Path | None = Field(
        default=None,
        description="File with the passphrase under which backups are sealed; one is made when not set.",
    )
    keep_backups_days: int = Field(
        default=14, ge=1, le=90, description="Days that backups are kept: never as long as tombstones."
    )
