"""Exact places are sealed: for one site, under one key, and never the same way twice."""

import base64
from pathlib import Path
from uuid import uuid4

import pytest

from db.addresses import Vault

KEY = bytes(range(32))
SITE = uuid4()


def test_what_is_sealed_can_be_opened_with_the_key() -> None:
    assert Vault(KEY).open(SITE, Vault(KEY).seal(SITE, "3 rue du Prorel")) == "3 rue du Prorel"


def test_two_seals_of_one_place_have_nothing_in_common() -> None:
    one, other = (Vault(KEY).seal(SITE, "3 rue du Prorel") for _ in range(2))
    assert one != other
    assert b"Prorel" not in one


@pytest.mark.parametrize("position", [0, 1, 20, -1])
def test_a_changed_byte_is_found(position: int) -> None:
    sealed = bytearray(Vault(KEY).seal(SITE, "3 rue du Prorel"))
    sealed[position] ^= 1
    with pytest.raises(ValueError, match="cannot be opened"):
        Vault(KEY).open(SITE, bytes(sealed))


def test_another_key_or_another_site_opens_nothing() -> None:
    sealed = Vault(KEY).seal(SITE, "3 rue du Prorel")
    for vault, site in ((Vault(KEY[::-1]), SITE), (Vault(KEY), uuid4())):
        with pytest.raises(ValueError, match="cannot be opened"):
            vault.open(site, sealed)


@pytest.mark.parametrize("written", ["", "not base64!", base64.b64encode(KEY[:16]).decode()])
def test_a_file_that_holds_no_key_is_told_in_words(tmp_path: Path, written: str) -> None:
    (tmp_path / "key").write_text(written)
    with pytest.raises(ValueError, match="32 bytes"):
        Vault.of_file(tmp_path / "key")
