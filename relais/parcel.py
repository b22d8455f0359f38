"""A parcel: what a house takes along when it moves, as a folder or a tar of JSON Lines with a manifest.

The manifest counts and hashes each file and is sealed itself, with a key made from the passphrase (scrypt); exact
places are ciphertext under another one from it. Everything else in it can be read by whoever has it.
"""

import base64
import hmac
import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from db.addresses import Vault
from relais.embedded import StackProblem

__all__ = ["PLACES", "Parcel", "Part", "opened_parcel", "packed", "passphrase_of"]

PLACES: Final = "site_location"
"""The part that holds exact places, sealed."""
_FORM: Final = 1
_MANIFEST: Final = "manifest.json"
_LEAST_PASSPHRASE: Final = 20
_HARDNESS: Final = 2**16
"""scrypt's n: 64 MB and some tenths of a second for each guess."""


class ParcelProblem(StackProblem):
    """A parcel cannot be made or used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file: how many lines it has, and their hash."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel that is whole: its folder, the schema that its rows are of, its parts, and the vault of its places."""

    folder: Path
    schema: str
    parts: dict[str, Part]
    vault: Vault

    def lines(self, name: str) -> Iterator[str]:
        """The lines of a part."""
        with _file(self.folder, name).open(encoding="utf-8", newline="\n") as written:
            for line in written:
                yield line.rstrip("\n")


def passphrase_of(file: Path) -> bytes:
    """The passphrase of a file, without what is white around it. Raises `ParcelProblem`."""
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise ParcelProblem(f"The passphrase file cannot be read ({error.strerror}). Nothing was done.") from error
    if len(found) < _LEAST_PASSPHRASE:
        raise ParcelProblem(
            f"The passphrase has less than {_LEAST_PASSPHRASE} characters: exact places would lie open to guessing. "
            "Nothing was done. What to do: `openssl rand -base64 32 > passphrase`."
        )
    return found


class Packing:
    """A parcel in the making."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder, self._salt = folder, secrets.token_bytes(16)
        places, self._manifest_key = _keys(passphrase, self._salt)
        self.vault = Vault(places)
        self.parts: dict[str, Part] = {}

    async def add(self, name: str, lines: AsyncIterator[str]) -> None:
        """Write a part."""
        rows, digest = 0, sha256()
        with os.fdopen(os.open(_file(self._folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            async for line in lines:
                written = line.encode() + b"\n"
                out.write(written)
                digest.update(written)
                rows += 1
        self.parts[name] = Part(rows, digest.hexdigest())

    def close(self, schema: str) -> None:
        """Write the manifest: without it nothing of this is a parcel."""
        manifest = {
            "form": _FORM,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "schema": schema,
            "parts": {name: {"rows": part.rows, "sha256": part.sha256} for name, part in self.parts.items()},
            "scrypt": {"salt": base64.b64encode(self._salt).decode(), "n": _HARDNESS},
        }
        sealed = {**manifest, "seal": _seal(manifest, self._manifest_key)}
        (self._folder / _MANIFEST).write_text(json.dumps(sealed, indent=1) + "\n")


@contextmanager
def packed(to: Path, passphrase: bytes) -> Iterator[Packing]:
    """Make a parcel at a path that is not there yet, whole or not at all; a tar where the name ends so.

    Raises `ParcelProblem`.
    """
    if to.exists():
        raise ParcelProblem(f"{to} is there already. Nothing was done. What to do: name another, or take it away.")
    if not to.parent.is_dir():
        raise ParcelProblem(f"There is no folder {to.parent} to write in. Nothing was done.")
    draft = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        yield Packing(draft, passphrase)
        if to.suffix == ".tar":
            _tar(draft, to)
        else:
            draft.replace(to)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def opened_parcel(at: Path, passphrase: bytes) -> Iterator[Parcel]:
    """A parcel, once it is known to be whole and to be opened by this passphrase. Raises `ParcelProblem`."""
    with tempfile.TemporaryDirectory(prefix="relais-parcel-") as aside:
        folder = at if at.is_dir() else _untar(at, Path(aside))
        manifest = _manifest(folder)
        salt = base64.b64decode(manifest["scrypt"]["salt"])
        places, manifest_key = _keys(passphrase, salt, manifest["scrypt"]["n"])
        seal = manifest.pop("seal")
        if not hmac.compare_digest(seal, _seal(manifest, manifest_key)):
            raise ParcelProblem(
                "The passphrase is not the one of this export, or its manifest was changed. Nothing was done."
            )
        parts = {name: Part(**part) for name, part in manifest["parts"].items()}
        for name, part in parts.items():
            _check(folder, name, part)
        yield Parcel(folder, manifest["schema"], parts, Vault(places))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        known = manifest["form"] == _FORM and {"schema", "parts", "scrypt", "seal"} <= manifest.keys()
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ParcelProblem("This is no export of Relais that this version can read. Nothing was done.")
    return manifest


def _check(folder: Path, name: str, part: Part) -> None:
    rows, digest = 0, sha256()
    try:
        with _file(folder, name).open("rb") as written:
            for line in written:
                digest.update(line)
                rows += 1
    except OSError as error:
        raise ParcelProblem(f"{name}.jsonl cannot be read ({error.strerror}). Nothing was done.") from error
    if (rows, digest.hexdigest()) != (part.rows, part.sha256):
        raise ParcelProblem(f"{name}.jsonl is not what was written: it was changed or cut off. Nothing was done.")


def _file(folder: Path, name: str) -> Path:
    if not name.replace("_", "").isalpha():
        raise ParcelProblem("The manifest names a file that no table has. Nothing was done.")
    return folder / f"{name}.jsonl"


def _keys(passphrase: bytes, salt: bytes, hardness: int = _HARDNESS) -> tuple[bytes, bytes]:
    """The key of exact places, and that of the manifest."""
    if hardness != _HARDNESS:
        raise ParcelProblem("This export was sealed in a way that this version does not know. Nothing was done.")
    derived = Scrypt(salt=salt, length=64, n=hardness, r=8, p=1).derive(passphrase)
    return derived[:32], derived[32:]


def _seal(manifest: dict[str, Any], key: bytes) -> str:
    written = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hmac.digest(key, written.encode(), "sha256").hex()


def _tar(folder: Path, to: Path) -> None:
    draft = folder / to.name
    private = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    with private as out, tarfile.open(fileobj=out, mode="w") as tar:
        for file in sorted(folder.iterdir()):
            if file != draft:
                tar.add(file, file.name)
    draft.replace(to)


def _untar(file: Path, aside: Path) -> Path:
    try:
        with tarfile.open(file) as tar:
            # Nothing but plain files in one folder is taken out.
            tar.extractall(aside, [each for each in tar if each.isfile() and "/" not in each.name], filter="data")
    except (OSError, tarfile.TarError) as error:
        raise ParcelProblem(f"{file} cannot be read as a folder or a tar. Nothing was done.") from error
    return aside
