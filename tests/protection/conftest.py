"""The service in this process and its organizations, as the tests of the API have them."""

from tests.api.conftest import api_settings, app, association, client, coordination, municipality

__all__ = ["api_settings", "app", "association", "client", "coordination", "municipality"]
