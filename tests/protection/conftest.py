"""The service in this process, as the tests of the API have it."""

from tests.api.conftest import anyone, api_settings, app, association, client

__all__ = ["anyone", "api_settings", "app", "association", "client"]
