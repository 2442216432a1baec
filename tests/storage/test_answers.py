"""Answers on disk: whole, sealed, bounded, and never the ruin of an answer in memory."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_anomaly.errors import StorageFailed
from api_anomaly.runtime.idempotency import IdempotencyStore, owned_key
from api_anomaly.storage.answers import Kept, KeptAnswers
from api_anomaly.storage.keys import SigningKeys
from tests.support.paths import ROOT

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture()
def file(tmp_path: Path) -> Path:
    return tmp_path / "models" / "answers.db"


@pytest.fixture()
def answers(file: Path, keys: SigningKeys) -> Iterator[KeptAnswers]:
    kept = KeptAnswers(file, keys, 1_000_000)
    yield kept
    kept.close()


def kept(number: int, until: float = NOW + 600.0, size: int = 10) -> Kept:
    return Kept(b"key-%d" % number, b"digest", until, b"x" * size)


def again(file: Path, *secrets: str, now: float = NOW) -> list[Kept]:
    """What a fresh process finds."""
    reader = KeptAnswers(file, SigningKeys(secrets or ["a signing key of the tests"]), 1_000_000)
    try:
        return reader.load(now, DAY)
    finally:
        reader.close()


def test_what_was_put_is_found_by_the_next_process_in_order(
    answers: KeptAnswers, file: Path
) -> None:
    rows = [kept(number, NOW + 10 + number) for number in range(5)]
    for row in reversed(rows):
        answers.put(row, NOW)
    assert again(file) == rows
    assert file.stat().st_mode & 0o777 == 0o600


def test_old_and_forgotten_ones_are_gone(answers: KeptAnswers, file: Path) -> None:
    answers.put(kept(1, NOW + 1), NOW)
    answers.put(kept(2), NOW)
    answers.put(kept(3), NOW + 2, forgotten=[b"key-2"])
    assert [row.key for row in again(file)] == [b"key-3"]


def test_no_answer_is_valid_for_longer_than_the_window_whatever_the_clock_did(
    answers: KeptAnswers, file: Path
) -> None:
    answers.put(kept(1, NOW + 2 * DAY), NOW)
    assert again(file) == []


@pytest.mark.parametrize("column", ["key", "digest", "until", "answer", "seal"])
def test_a_row_that_was_changed_is_left_out(answers: KeptAnswers, file: Path, column: str) -> None:
    answers.put(kept(1), NOW)
    answers.put(kept(2), NOW)
    answers.close()
    with sqlite3.connect(file) as database:
        value = {"until": NOW + 500, "seal": "0" * 64}.get(column, b"changed")
        database.execute(f"UPDATE answers SET {column} = ? WHERE key = ?", (value, b"key-1"))
    database.close()
    assert [row.key for row in again(file)] == [b"key-2"]


def test_signing_keys_rotate_here_too(answers: KeptAnswers, file: Path) -> None:
    answers.put(kept(1), NOW)
    assert again(file, "a new signing key", "a signing key of the tests") == [kept(1)]
    assert again(file, "a new signing key") == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=5_000) | st.binary(max_size=300).map(lambda b: b"SQLite format 3\0" + b)
)
def test_a_file_of_garbage_is_named_once_and_made_anew(
    file: Path, keys: SigningKeys, data: bytes
) -> None:
    shutil.rmtree(file.parent, ignore_errors=True)
    file.parent.mkdir()
    file.write_bytes(data)
    answers = KeptAnswers(file, keys, 1_000_000)
    try:
        assert answers.load(NOW, DAY) == []
    except StorageFailed as error:
        assert "could not be stored" in str(error)
    answers.put(kept(1), NOW)
    answers.close()
    assert again(file) == [kept(1)]


def test_a_file_that_was_cut_gives_what_is_whole_or_a_named_error(
    answers: KeptAnswers, file: Path, keys: SigningKeys
) -> None:
    for number in range(50):
        answers.put(kept(number, size=3_000), NOW)
    answers.close()
    whole = file.read_bytes()
    for share in (0.1, 0.37, 0.5, 0.9):
        file.write_bytes(whole[: int(len(whole) * share)])
        reader = KeptAnswers(file, keys, 1_000_000)
        try:
            found = reader.load(NOW, DAY)
            assert set(found) <= {kept(number, size=3_000) for number in range(50)}
        except StorageFailed:
            pass
        reader.put(kept(99), NOW)
        reader.close()
        assert kept(99) in again(file)


def test_the_file_is_bounded(file: Path, keys: SigningKeys) -> None:
    answers = KeptAnswers(file, keys, 200_000)
    refused = 0
    for number in range(100):
        try:
            answers.put(kept(number, size=20_000), NOW)
        except StorageFailed as error:
            refused += 1
            assert "the disk is full" in str(error)
    answers.close()
    assert refused and file.stat().st_size < 800_000


def test_a_folder_that_was_taken_away_is_made_again(answers: KeptAnswers, file: Path) -> None:
    answers.put(kept(1), NOW)
    shutil.rmtree(file.parent)
    answers.put(kept(2), NOW)
    assert [row.key for row in again(file)] == [b"key-2"]


def test_a_folder_that_cannot_be_made_is_a_named_error(tmp_path: Path, keys: SigningKeys) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    answers = KeptAnswers(tmp_path / "models" / "answers.db", keys, 1_000)
    with pytest.raises(StorageFailed, match="could not be stored"):
        answers.put(kept(1), NOW)


def test_a_process_that_is_killed_right_after_an_answer_has_kept_it(file: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from api_anomaly.storage.answers import Kept, KeptAnswers
from api_anomaly.storage.keys import SigningKeys
answers = KeptAnswers(Path(sys.argv[1]), SigningKeys(["a signing key of the tests"]), 10**6)
answers.put(Kept(b"key-1", b"digest", 1_800_000_600.0, b"x" * 10), 1_800_000_000.0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(file)], cwd=ROOT)
    assert ended.returncode == -9
    assert again(file) == [kept(1)]


def test_a_disk_that_fails_costs_no_caller_an_answer_and_is_told(
    tmp_path: Path, keys: SigningKeys
) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    told: list[StorageFailed] = []
    path = tmp_path / "models" / "answers.db"

    async def test() -> None:
        retries = IdempotencyStore(10, 600, kept=KeptAnswers(path, keys, 1_000), failed=told.append)
        await retries.load()
        made = 0

        async def make() -> bytes:
            nonlocal made
            made += 1
            return b"answer"

        assert await retries.answer(b"a", b"body", make) == (b"answer", False)
        assert await retries.answer(b"a", b"body", make) == (b"answer", True)
        assert made == 1
        await retries.close()

    asyncio.run(test())
    assert len(told) == 2


def test_a_retry_after_a_restart_gets_the_first_answer(file: Path, keys: SigningKeys) -> None:
    async def life(make_answer: bytes) -> tuple[bytes, bool]:
        retries = IdempotencyStore(10, 600, kept=KeptAnswers(file, keys, 10**6), failed=pytest.fail)
        await retries.load()

        async def make() -> bytes:
            return make_answer

        found = await retries.answer(b"a", b"body", make)
        await retries.close()
        return found

    assert asyncio.run(life(b"first")) == (b"first", False)
    assert asyncio.run(life(b"second")) == (b"first", True)


def test_callers_do_not_share_keys() -> None:
    assert owned_key("a", b"key") != owned_key("b", b"key")
    assert owned_key("a", b"key") == owned_key("a", b"key")
