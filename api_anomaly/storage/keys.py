"""Signing keys, and files with a secret that is created at the first start."""

import hmac
import os
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from api_anomaly.errors import StorageFailed
from api_anomaly.storage.atomic_files import storing, sync_folder, unfinished, write_file

_SECRET_BYTES = 32


class SigningKeys:
    """Keys for HMAC-SHA256 (RFC 2104). The first signs, all verify, so that keys can be rotated.

    The `purpose` of a signature is signed too, so that one kind of file cannot pass as another.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [key.encode() for key in keys]
        if not self._keys:
            raise ValueError("At least one signing key is needed.")

    def signer(self, purpose: str) -> "hmac.HMAC":
        """An HMAC to be updated with the message, under the key that signs."""
        return hmac.new(self._keys[0], purpose.encode() + b"\0", sha256)

    def verifiers(self, purpose: str) -> "list[hmac.HMAC]":
        """HMACs to be updated with the message, one for each key that may have signed it."""
        return [hmac.new(key, purpose.encode() + b"\0", sha256) for key in self._keys]

    def sign(self, purpose: str, message: bytes) -> str:
        """The signature of `message`, 64 hex digits."""
        signer = self.signer(purpose)
        signer.update(message)
        return signer.hexdigest()

    def verify(self, purpose: str, message: bytes, signature: str) -> bool:
        """Whether any key signed `message`; compared in constant time."""
        given = signature.encode("utf-8", "replace")
        verified = False
        for verifier in self.verifiers(purpose):
            verifier.update(message)
            verified |= hmac.compare_digest(verifier.hexdigest().encode(), given)
        return verified


def any_matches(verifiers: "Iterable[hmac.HMAC]", signature: bytes) -> bool:
    """Whether any HMAC equals `signature`; all are compared, in constant time."""
    return any([hmac.compare_digest(verifier.digest(), signature) for verifier in verifiers])


def new_secret() -> str:
    """A random secret that needs no escaping in a header or on a command line."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def read_or_create_secret(path: Path) -> tuple[str, bool]:
    """The secret in `path` (mode 0600) and whether it was created now. Raises StorageFailed.

    If two processes start at once, both use the secret of the one that links its file first.
    """
    with storing(f"The secret file {path.name}"):
        secret = _read(path)
        if secret:
            return secret, False
        path.parent.mkdir(parents=True, exist_ok=True)
        new = unfinished(path.parent)
        write_file(new, new_secret().encode() + b"\n", 0o600)
        try:
            created = _link_unless_present(new, path)
        finally:
            new.unlink()
        sync_folder(path.parent)
        return _read(path), created


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise StorageFailed(
            f"The secret file {path.name} is damaged: restore it, or delete it to create a new one."
        ) from error


def _link_unless_present(new: Path, path: Path) -> bool:
    """Name `new` as `path` unless a secret is there. An empty file is replaced."""
    try:
        os.link(new, path)
    except FileExistsError:
        if _read(path):
            return False
        path.unlink()
        os.link(new, path)
    return True
