"""Secrets: made once, kept for their owner alone, compared in constant time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api_anomaly.errors import StorageFailed
from api_anomaly.storage.keys import SigningKeys, new_secret, read_or_create_secret


def test_a_secret_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "models" / "auth_token"
    secret, made = read_or_create_secret(file)
    assert made and len(secret) >= 40
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_create_secret(file) == (secret, False)
    assert os.listdir(file.parent) == ["auth_token"]


def test_an_empty_secret_file_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "auth_token"
    file.write_text("\n")
    secret, made = read_or_create_secret(file)
    assert made and secret


def test_a_damaged_secret_file_is_a_named_error_and_stays_for_a_human(tmp_path: Path) -> None:
    file = tmp_path / "auth_token"
    file.write_bytes(b"\x80\x04damaged")
    with pytest.raises(StorageFailed, match="auth_token is damaged"):
        read_or_create_secret(file)
    assert file.read_bytes() == b"\x80\x04damaged"


def test_two_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read_or_create_secret, [tmp_path / "auth_token"] * 32))
    assert len({secret for secret, _made in found}) == 1
    assert sum(made for _secret, made in found) == 1


def test_a_secret_that_cannot_be_kept_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(StorageFailed, match="auth_token could not be stored"):
        read_or_create_secret(tmp_path / "models" / "auth_token")


def test_secrets_differ() -> None:
    assert new_secret() != new_secret()


def test_a_signature_binds_purpose_message_and_key() -> None:
    keys = SigningKeys(["one key"])
    signature = keys.sign("purpose", b"message")
    assert keys.verify("purpose", b"message", signature)
    assert not keys.verify("another", b"message", signature)
    assert not keys.verify("purpose", b"massage", signature)
    assert not SigningKeys(["another key"]).verify("purpose", b"message", signature)
    assert not keys.verify("purpose", b"message", "ünïcode")


def test_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="At least one"):
        SigningKeys([])
