"""Addresses of channels: which hosts an operator names, and at which ports."""

import pytest

from matching.notifying import Fault, host_in_the_clear, is_of_the_house, kind_of_address, named_hosts


def test_an_operator_names_a_host_at_one_port_or_at_those_of_http() -> None:
    assert named_hosts("Signal:8080,ntfy") == {("signal", 8080), ("ntfy", 80), ("ntfy", 443)}
    assert named_hosts("") == set()


@pytest.mark.parametrize("written", ["signal:", "signal:0", "signal:65536", ":80", "a:1:2"])
def test_a_port_that_there_is_not_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        named_hosts(written)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("signal://Signal:8080/+15551234567/+15557654321", ("signal", 8080)),
        ("ntfy://ntfy/night", ("ntfy", 80)),
        ("ntfys://ntfy.example.org/night", None),
    ],
)
def test_an_address_in_the_clear_has_a_host_and_a_port(address: str, found: tuple[str, int] | None) -> None:
    assert host_in_the_clear(address) == found


@pytest.mark.parametrize("service", ["vonage", "clicksend"])
def test_no_service_whose_refusals_look_like_a_yes_is_allowed(service: str) -> None:
    assert kind_of_address(f"{service}://key:secret/15551234567/15557654321") is None


def test_a_mail_server_that_is_away_is_no_fault_of_the_address() -> None:
    assert is_of_the_house("mail", Fault.UNREACHABLE)
    assert is_of_the_house("signal", Fault.NOT_SET_UP)
    assert not is_of_the_house("signal", Fault.UNREACHABLE)
    assert not is_of_the_house("mail", Fault.REFUSED)
