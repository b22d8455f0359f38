"""An address of Redis is understood, or refused, before anything is opened."""

import pytest

from db.reaching_redis import is_redis_address
from db.settings import Settings

_FILES = {"secret_file": "secret", "address_key_file": "address-key"}


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://user:password@redis.example.org:6380/1",
        "unix:///run/redis.sock",
        "redis+sentinel://a:26379,b:26379,c:26379/doorbell/0",
        "redis+sentinel://a/doorbell",
        "redis+sentinel://[::1]:26379,[::2]/doorbell/3",
        "redis+sentinel://user:p%40ss%2C@a:26379/doorbell/0?sentinel_password=theirs",
        "rediss+sentinel://:password@a:26379/doorbell/0",
    ],
)
def test_this_is_an_address(address: str) -> None:
    assert is_redis_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:6379/0",
        "redis://",
        "redis://127.0.0.1:port/0",
        "redis+sentinel://a:26379,b:26379",
        "redis+sentinel://a:26379,/doorbell/0",
        "redis+sentinel:///doorbell/0",
        "redis+sentinel://a:26379/doorbell/zero",
        "redis+sentinel://a:70000/doorbell/0",
        "redis+sentinel://a:26379/doorbell/0?password=wrong",
    ],
)
def test_this_is_none(address: str) -> None:
    assert not is_redis_address(address)


def test_an_empty_address_is_no_redis_and_no_way_past_a_pooler() -> None:
    told = {"database_url": "postgresql+asyncpg://relais@127.0.0.1/relais", "redis_url": "", "listen_url": ""}
    settings = Settings.model_validate(told | _FILES)
    assert (settings.redis_url, settings.listen_url) == (None, None)
