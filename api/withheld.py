"""What an answer shows and no table keeps: slip codes, secrets and addresses of webhooks.

Where an answer is stored, a name stands in for each; the name is enough to find the text again, for who has the keys.
"""

import base64
from dataclasses import dataclass
from uuid import UUID

from db.slips import slip_code
from db.webhook_keys import WebhookKeys

__all__ = ["Withheld"]


@dataclass(frozen=True)
class Withheld:
    """Names of texts, and the texts again."""

    slip_key: bytes
    webhooks: WebhookKeys

    @staticmethod
    def code(need_id: UUID) -> str:
        """The name of a slip code."""
        return str(need_id)

    @staticmethod
    def secret(webhook_id: UUID, generation: int) -> str:
        """The name of a webhook's secret."""
        return f"secret.{webhook_id}.{generation}"

    @staticmethod
    def address(webhook_id: UUID, sealed: bytes) -> str:
        """The name of a webhook's address."""
        return f"address.{webhook_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def text(self, name: str) -> str:
        """What a name stands for."""
        match name.split("."):
            case ["secret", webhook_id, generation]:
                return self.webhooks.secret(UUID(webhook_id), int(generation))
            case ["address", webhook_id, sealed]:
                return self.webhooks.open(UUID(webhook_id), base64.urlsafe_b64decode(sealed))
            case _:
                return slip_code(UUID(name), self.slip_key)
