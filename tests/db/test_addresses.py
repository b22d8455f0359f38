"""Exact places are sealed: for one site and one part, under a key that is named, and never the same way twice."""

import base64
import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from db.addresses import Part, Vault

KEY = bytes(range(32))
OTHER = KEY[::-1]
SITE = uuid4()
WORDS = "3 rue du Prorel"


def line(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"


def sealed_in_the_first_form(site: UUID, text: str) -> bytes:
    """As versions before keys could be changed sealed."""
    nonce = os.urandom(12)
    return b"\x01" + nonce + AESGCM(KEY).encrypt(nonce, text.encode(), site.bytes)


def test_what_is_sealed_can_be_opened_with_the_key() -> None:
    assert Vault(KEY).open(SITE, Part.ADDRESS, Vault(KEY).seal(SITE, Part.ADDRESS, WORDS)) == WORDS


def test_two_seals_of_one_place_have_nothing_in_common_but_their_mark() -> None:
    one, other = (Vault(KEY).seal(SITE, Part.ADDRESS, WORDS) for _ in range(2))
    assert one[:5] == other[:5] == Vault(KEY).mark
    assert one[5:17] != other[5:17]
    assert one[17:] != other[17:]
    assert b"Prorel" not in one


@pytest.mark.parametrize("position", [0, 1, 4, 5, 20, -1])
def test_a_changed_byte_is_found(position: int) -> None:
    sealed = bytearray(Vault(KEY).seal(SITE, Part.ADDRESS, WORDS))
    sealed[position] ^= 1
    with pytest.raises(ValueError, match="cannot be opened"):
        Vault(KEY).open(SITE, Part.ADDRESS, bytes(sealed))


def test_another_key_another_site_or_another_part_opens_nothing() -> None:
    sealed = Vault(KEY).seal(SITE, Part.ADDRESS, WORDS)
    for vault, site, part in (
        (Vault(OTHER), SITE, Part.ADDRESS),
        (Vault(KEY), uuid4(), Part.ADDRESS),
        (Vault(KEY), SITE, Part.PLACE),
    ):
        with pytest.raises(ValueError, match="cannot be opened"):
            vault.open(site, part, sealed)


def test_the_mark_of_one_key_does_not_pass_what_another_sealed() -> None:
    sealed = Vault(KEY).seal(SITE, Part.ADDRESS, WORDS)
    both = Vault(KEY, OTHER)
    with pytest.raises(ValueError, match="cannot be opened"):
        both.open(SITE, Part.ADDRESS, both.mark + sealed[5:])


def test_the_last_key_seals_and_the_older_ones_open() -> None:
    before = Vault(KEY).seal(SITE, Part.ADDRESS, WORDS)
    both = Vault(KEY, OTHER)
    assert both.open(SITE, Part.ADDRESS, before) == WORDS
    assert Vault(OTHER).open(SITE, Part.ADDRESS, both.seal(SITE, Part.ADDRESS, WORDS)) == WORDS


def test_what_was_sealed_before_keys_had_marks_is_still_opened() -> None:
    sealed = sealed_in_the_first_form(SITE, WORDS)
    assert Vault(OTHER, KEY).open(SITE, Part.ADDRESS, sealed) == WORDS
    for vault, site in ((Vault(OTHER), SITE), (Vault(KEY), uuid4())):
        with pytest.raises(ValueError, match="cannot be opened"):
            vault.open(site, Part.ADDRESS, sealed)


def test_a_running_vault_uses_a_key_that_is_added_to_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(line(KEY))
    running, beside = Vault.of_file(file), Vault.of_file(file)
    file.write_bytes(line(KEY) + line(OTHER))
    sealed = running.seal(SITE, Part.ADDRESS, WORDS)
    assert Vault(OTHER).open(SITE, Part.ADDRESS, sealed) == WORDS
    assert beside.open(SITE, Part.ADDRESS, sealed) == WORDS, "it meets an unknown mark and looks at its file again"


@pytest.mark.parametrize("written", [b"", b"half a li", line(KEY) + b"AAAA"])
def test_a_file_that_is_broken_for_a_moment_takes_no_key_away(tmp_path: Path, written: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(line(KEY))
    vault = Vault.of_file(file)
    file.write_bytes(written)
    assert Vault(KEY).open(SITE, Part.ADDRESS, vault.seal(SITE, Part.ADDRESS, WORDS)) == WORDS


@pytest.mark.parametrize("written", ["", "not base64!", base64.b64encode(KEY[:16]).decode()])
def test_a_file_that_holds_no_key_is_told_in_words(tmp_path: Path, written: str) -> None:
    (tmp_path / "key").write_text(written)
    with pytest.raises(ValueError, match="32 bytes"):
        Vault.of_file(tmp_path / "key")
