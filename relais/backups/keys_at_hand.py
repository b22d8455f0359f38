"""Whether the secret file and the address key file at hand are those of a backup, which holds neither.

A backup is told a mark of each key: a keyed hash that says whether a key fits and nothing else.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from db.addresses import keys_of
from db.settings import Settings
from relais.backups.problem import BackupProblem

__all__ = ["KeysAtHand"]

_USE: Final = "backup mark"
_SECRET, _ADDRESSES = "relais-secret", "relais-address-keys"


@dataclass(frozen=True, slots=True)
class KeysAtHand:
    """Marks of the keys of this house: of the secret, and of each key for addresses."""

    secret: str
    addresses: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> "KeysAtHand":
        """Those of the files that the settings name."""
        keys = tuple(hmac.digest(key, _USE.encode(), "sha256").hex()[:16] for key in keys_of(settings.address_key_file))
        return cls(settings.keys().of(_USE).hex()[:16], keys)

    def annotations(self) -> dict[str, str]:
        """As they are written on a backup."""
        return {_SECRET: self.secret, _ADDRESSES: ",".join(self.addresses)}

    def check(self, annotations: Mapping[str, str], *, addresses: bool = True) -> None:
        """Raise BackupProblem where a backup was made with a key that is not at hand; `addresses`: of those too."""
        if annotations.get(_SECRET) != self.secret:
            raise BackupProblem(
                "The secret file at hand is not the one of this backup: no key and no slip code would work, and what "
                "was purged could not be told from what was not. Nothing was restored. What to do: put the copy of "
                "the secret file in place (RELAIS_SECRET_FILE), then try again."
            )
        if addresses and not set(annotations.get(_ADDRESSES, "").split(",")) <= set(self.addresses):
            raise BackupProblem(
                "The address key file at hand lacks a key of this backup: exact places could not be opened. Nothing "
                "was restored. What to do: put the copy of that time in place (RELAIS_ADDRESS_KEY_FILE). Where it is "
                "lost for good, give --without-address-keys: places are then asked for again."
            )
