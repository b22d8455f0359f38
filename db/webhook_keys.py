"""What only the two ends of a webhook know: its secrets, which are derived and stored nowhere, and its address, sealed.

An address often holds a token of whoever gave it: a copy of the database tells neither where events go nor how they
are signed.
"""

import base64
import hmac
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from db.sealing import Sealing
from db.settings import Keys

__all__ = ["WebhookKeys"]

_PREFIX: Final = "whsec_"


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """Two keys of 32 bytes; both hang on the secret file."""

    _secrets: bytes = field(repr=False)
    _addresses: Sealing

    @classmethod
    def of(cls, keys: Keys) -> "WebhookKeys":
        """Those of the secret file."""
        return cls(keys.of("webhook-secret"), Sealing(keys.of("webhook-address")))

    def secret(self, webhook_id: UUID, generation: int) -> str:
        """A secret of a webhook as receivers keep it: 32 bytes in base64 behind `whsec_`."""
        told = hmac.digest(self._secrets, f"{webhook_id} {generation}".encode(), "sha256")
        return _PREFIX + base64.b64encode(told).decode()

    def seal(self, webhook_id: UUID, url: str) -> bytes:
        """An address as it is stored, bound to its webhook."""
        return self._addresses.seal(webhook_id, url)

    def open(self, webhook_id: UUID, sealed: bytes) -> str:
        """The address. Raises `ValueError` where it was sealed for another webhook, under another key, or changed."""
        return self._addresses.open(webhook_id, sealed)
