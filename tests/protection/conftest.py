"""The service in this process and its organizations, as the tests of the API have them."""

from tests.api.conftest import anyone, api_settings, app, association, client, coordination, municipality

__all__ = ["anyone", "api_settings", "app", "association", "client", "coordination", "municipality"]
