"""The secrets of this installation: the signing keys, and files that hold a secret made at first
start.
"""

import hmac
import os
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from api_anomaly.errors import StorageFailed
from api_anomaly.storage.atomic_files import storing, sync_folder, unfinished, write_file

#: Bytes of entropy in a secret that is made here.
_ENTROPY = 32


class SigningKeys:
    """One or more keys for HMAC-SHA256 (RFC 2104). The first signs, all verify: so a key can be
    changed in steps.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [key.encode() for key in keys]
        if not self._keys:
            raise ValueError("At least one signing key is needed.")

    def seal(self, purpose: str) -> "hmac.HMAC":
        """A running HMAC under the signing key; `purpose` keeps one kind of file from passing as
        another.
        """
        return hmac.new(self._keys[0], purpose.encode() + b"\0", sha256)

    def seals(self, purpose: str) -> "list[hmac.HMAC]":
        """Running HMACs, one for each key that may have signed."""
        return [hmac.new(key, purpose.encode() + b"\0", sha256) for key in self._keys]

    def sign(self, purpose: str, message: bytes) -> str:
        """The signature of `message`, 64 hex digits."""
        seal = self.seal(purpose)
        seal.update(message)
        return seal.hexdigest()

    def verify(self, purpose: str, message: bytes, signature: str) -> bool:
        """Whether any key signed `message`; compared in constant time."""
        given = signature.encode("utf-8", "replace")
        verified = False
        for seal in self.seals(purpose):
            seal.update(message)
            verified |= hmac.compare_digest(seal.hexdigest().encode(), given)
        return verified


def made_secret() -> str:
    """A fresh random secret, safe in a header and on a command line."""
    return secrets.token_urlsafe(_ENTROPY)


def secret_in(path: Path) -> tuple[str, bool]:
    """The secret kept in `path` (0600) and whether it was made just now. Raises StorageFailed.

    Two processes that start at once agree: whoever links its file first wins, the other one reads
    it.
    """
    with storing(f"The secret file {path.name}"):
        kept = _read(path)
        if kept:
            return kept, False
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = unfinished(path.parent)
        write_file(fresh, made_secret().encode() + b"\n", 0o600)
        try:
            made = _place(fresh, path)
        finally:
            fresh.unlink()
        sync_folder(path.parent)
        return _read(path), made


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise StorageFailed(
            f"The secret file {path.name} is damaged: put it back, or delete it to have one made."
        ) from error


def _place(fresh: Path, path: Path) -> bool:
    """Give `fresh` the name `path` unless a secret is there already; an empty file does not count
    as one.
    """
    try:
        os.link(fresh, path)
    except FileExistsError:
        if _read(path):
            return False
        path.unlink()
        os.link(fresh, path)
    return True
