"""The schedule of webhooks, and how an address may be written."""

from datetime import timedelta

import pytest

from matching.delivering import LONGEST_URL, MOST_ASKED, SCHEDULE, host_and_port, pause_after


def test_it_is_tried_over_about_three_days_and_then_no_more() -> None:
    assert timedelta(days=3) < sum(SCHEDULE, timedelta()) < timedelta(days=4)
    assert list(SCHEDULE) == sorted(SCHEDULE)
    assert pause_after(len(SCHEDULE), 0) == SCHEDULE[-1]
    assert pause_after(len(SCHEDULE) + 1, 0, timedelta(hours=1)) is None


@pytest.mark.parametrize("failures", range(1, len(SCHEDULE) + 1))
def test_what_failed_together_is_spread(failures: int) -> None:
    planned = SCHEDULE[failures - 1]
    assert pause_after(failures, 0) == planned
    assert pause_after(failures, 1) == planned * 1.2


def test_a_receiver_may_ask_for_more_time_never_for_less_or_for_ever() -> None:
    assert pause_after(1, 0, timedelta(hours=3)) == timedelta(hours=3)
    assert pause_after(9, 0, timedelta(seconds=1)) == SCHEDULE[-1]
    assert pause_after(1, 0, timedelta(days=300)) == MOST_ASKED


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://hooks.example.org", ("hooks.example.org", 443)),
        ("https://hooks.example.org:443/", ("hooks.example.org", 443)),
        ("https://hooks.example.org:8443/a/b?token=Ab-1_%20~", ("hooks.example.org", 8443)),
        ("https://xn--brianon-vxa.fr?x", ("xn--brianon-vxa.fr", 443)),
        ("https://1.example.org/", ("1.example.org", 443)),
    ],
)
def test_an_address_that_is_written_well(url: str, read: tuple[str, int]) -> None:
    assert host_and_port(url) == read


def test_an_address_is_not_longer_than_is_kept() -> None:
    url = "https://hooks.example.org/"
    assert host_and_port(url + "a" * (LONGEST_URL - len(url)))
    assert not host_and_port(url + "a" * (LONGEST_URL - len(url) + 1))
    label = "a" * 63
    assert not host_and_port(f"https://{label}.{label}.{label}.{label}.org/")
    assert not host_and_port("https://" + "a" * 64 + ".org/")


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.org/", "https://localhost/", "https://a.local/", "https://127.0.0.1/"),
        *("https://[::1]/", "https://2130706433/", "https://0x7f.1/", "https://a@hooks.example.org/"),
        *("https://hooks.example.org/#a", "https://hooks.example.org:80/", "https://hooks.example.org:8443443/"),
        *("https://hooks.example.org\\@b.org/", "https://Hooks.example.org/", "https://hôoks.example.org/"),
        *("https://hooks.example.org/\n", " https://hooks.example.org/", "https://hooks.example.org/ä", "https://fr/"),
    ],
)
def test_an_address_that_may_mean_something_else(url: str) -> None:
    assert host_and_port(url) is None
