"""Verdicts on disk: all that was acknowledged comes back, and nothing else does."""

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.feedback.labels import LABEL
from api_anomaly.errors import StorageFailed
from api_anomaly.storage.label_file import LabelFile, LabelRecord
from api_anomaly.storage.keys import SigningKeys
from tests.support.paths import ROOT

KEY = "a signing key of the tests"
MAGIC = b"api-anomaly feedback 1\n"


def record(number: int, count: int = 2) -> LabelRecord:
    """Lessons that can be told apart by their time."""
    labels = np.zeros(count, LABEL)
    labels["time"], labels["hostile"] = number, number % 2
    labels["row"] = np.arange(count)[:, None] + number
    return LabelRecord("schema", labels)


def times(kept: list[LabelRecord]) -> list[float]:
    return [float(each.labels["time"][0]) for each in kept]


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "models" / "feedback"


def test_what_was_kept_comes_back_in_order(path: Path, keys: SigningKeys) -> None:
    file = LabelFile(path, keys)
    assert file.read() == ([], False)
    file.append([record(0)])
    file.append([record(1), record(2, 5)])
    again = LabelFile(path, keys)
    kept, damaged = again.read()
    assert times(kept) == [0, 1, 2] and not damaged
    assert kept[2].schema == "schema" and kept[2].labels.dtype == LABEL
    assert np.array_equal(kept[2].labels, record(2, 5).labels)
    again.append([record(3)])
    assert times(LabelFile(path, keys).read()[0]) == [0, 1, 2, 3]


def test_the_file_is_for_its_owner_only(path: Path, keys: SigningKeys) -> None:
    LabelFile(path, keys).append([record(0)])
    assert path.stat().st_mode & 0o777 == 0o600


def test_lessons_of_another_layout_come_back_too(path: Path, keys: SigningKeys) -> None:
    other = np.zeros(3, [("anomaly", "S24"), ("row", "f4", (7,))])
    LabelFile(path, keys).append([LabelRecord("older", other)])
    (kept,), damaged = LabelFile(path, keys).read()
    assert (kept.schema, kept.labels.dtype, damaged) == ("older", other.dtype, False)


def test_all_can_be_replaced_in_one_step(path: Path, keys: SigningKeys) -> None:
    file = LabelFile(path, keys)
    file.append([record(0), record(1)])
    file.replace([record(7)])
    file.append([record(8)])
    assert times(LabelFile(path, keys).read()[0]) == [7, 8]


@settings(max_examples=60)
@given(where=st.floats(0, 1, exclude_max=True), how=st.sampled_from(["cut", "flip", "more"]))
def test_a_damaged_end_costs_no_record_before_it_and_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, where: float, how: str
) -> None:
    path, keys = tmp_path_factory.mktemp("damaged") / "feedback", SigningKeys([KEY])
    file = LabelFile(path, keys)
    ends = [0]
    for number in range(3):
        file.append([record(number)])
        ends.append(path.stat().st_size)
    whole = bytearray(path.read_bytes())
    place = int(where * len(whole))
    if how == "cut":
        del whole[place:]
    elif how == "flip":
        whole[place] ^= 1
    else:
        place = len(whole)
        whole += b"\0" * (1 + int(where * 100))
    path.write_bytes(whole)
    intact = sum(end <= place for end in ends[1:])
    kept, damaged = LabelFile(path, keys).read()
    assert times(kept) == list(range(intact))
    at_an_end = len(whole) in (*ends[1:], len(MAGIC), 0) and how == "cut"
    assert damaged == (not at_an_end)
    if damaged:
        assert path.with_name("feedback.damaged").read_bytes() == whole
    again = LabelFile(path, keys)
    assert times(again.read()[0]) == list(range(intact))
    again.append([record(9)])
    assert times(LabelFile(path, keys).read()[0]) == [*range(intact), 9]


def split(data: bytes) -> list[bytes]:
    """The records of a file, each with its length and seal."""
    records, at = [], len(MAGIC)
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big") + 32
        records.append(data[at:end])
        at = end
    return records


@pytest.mark.parametrize("order", [[0, 2], [1, 0, 2], [0, 0, 1, 2], [1, 2]])
def test_records_cannot_be_left_out_repeated_or_moved(
    path: Path, keys: SigningKeys, order: list[int]
) -> None:
    LabelFile(path, keys).append([record(number) for number in range(3)])
    records = split(path.read_bytes())
    assert len(records) == 3
    path.write_bytes(MAGIC + b"".join(records[number] for number in order))
    kept, damaged = LabelFile(path, keys).read()
    right = next((i for i, number in enumerate(order) if number != i), len(order))
    assert times(kept) == list(range(right)) and damaged


def test_another_key_reads_nothing_and_a_changed_one_reads_on(path: Path) -> None:
    LabelFile(path, SigningKeys([KEY])).append([record(0)])
    both = LabelFile(path, SigningKeys(["a newer key of the tests", KEY]))
    assert times(both.read()[0]) == [0]
    both.append([record(1)])
    assert times(LabelFile(path, SigningKeys(["a newer key of the tests", KEY])).read()[0]) == [
        0,
        1,
    ]
    kept, damaged = LabelFile(path, SigningKeys(["somebody else's key here"])).read()
    assert (kept, damaged) == ([], True)
    assert path.with_name("feedback.damaged").exists()


def test_a_pickle_under_our_own_seal_is_not_unpickled(path: Path, keys: SigningKeys) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(path.with_name("boom")), "w"))

    file = LabelFile(path, keys)
    with pytest.raises(ValueError, match="allow_pickle"):
        file.append([LabelRecord("schema", np.array([Bomb()], object))])
    assert not path.with_name("boom").exists()


def test_a_disk_that_fails_leaves_what_was_kept(path: Path, keys: SigningKeys) -> None:
    file = LabelFile(path, keys)
    file.append([record(0)])
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageFailed, match="feedback could not be stored"):
        file.append([record(1)])
    path.rmdir()
    with pytest.raises(StorageFailed):
        file.append([record(1)])
    (path.parent / "elsewhere").mkdir()
    unreadable = LabelFile(path.parent / "elsewhere", keys)
    with pytest.raises(StorageFailed):
        unreadable.read()


def test_what_another_process_wrote_is_not_written_over(path: Path, keys: SigningKeys) -> None:
    mine = LabelFile(path, keys)
    mine.append([record(0)])
    other = LabelFile(path, keys)
    other.read()
    other.append([record(1)])
    with pytest.raises(StorageFailed, match="another process has written to it"):
        mine.append([record(2)])
    assert times(LabelFile(path, keys).read()[0]) == [0, 1]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """A limit on the size of files, as a full disk would: the kernel takes a part and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_what_is_added_after_a_rewrite_that_failed_comes_back_with_what_was_there(
    path: Path, keys: SigningKeys
) -> None:
    file = LabelFile(path, keys)
    file.append([record(0), record(1)])
    with no_file_beyond(100), pytest.raises(StorageFailed):
        file.replace([record(1)])
    file.append([record(2)])
    kept, damaged = LabelFile(path, keys).read()
    assert times(kept) == [0, 1, 2] and not damaged


def test_a_file_that_could_not_be_read_is_never_written_over(path: Path, keys: SigningKeys) -> None:
    LabelFile(path, keys).append([record(0)])
    away = path.rename(path.with_name("away"))
    path.mkdir()  # in its place something that cannot be read
    file = LabelFile(path, keys)
    with pytest.raises(StorageFailed):
        file.read()
    path.rmdir()
    away.rename(path)
    file.append([record(1)])
    assert times(LabelFile(path, keys).read()[0]) == [0, 1]


def test_a_write_that_fails_half_way_is_cut_off_and_can_be_tried_again(
    path: Path, keys: SigningKeys
) -> None:
    file = LabelFile(path, keys)
    file.append([record(0)])
    with no_file_beyond(path.stat().st_size + 100), pytest.raises(StorageFailed):
        file.append([record(1)])
    file.append([record(2)])
    kept, damaged = LabelFile(path, keys).read()
    assert times(kept) == [0, 2] and not damaged


WRITER = """
import sys
from pathlib import Path
import numpy as np
from api_anomaly.feedback.labels import LABEL
from api_anomaly.storage.label_file import LabelFile, LabelRecord
from api_anomaly.storage.keys import SigningKeys

file = LabelFile(Path(sys.argv[1]), SigningKeys([sys.argv[2]]))
number = sum(len(kept.labels) for kept in file.read()[0])
while True:
    labels = np.zeros(1, LABEL)
    labels["time"] = number
    file.append([LabelRecord("schema", labels)])
    print(number, flush=True)
    number += 1
"""
KILLS = 5


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(
    tmp_path: Path, keys: SigningKeys
) -> None:
    path, chance = tmp_path / "feedback", random.Random(1)
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), KEY],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as writer:
            assert writer.stdout is not None
            told = writer.stdout.readline()
            moment = time.perf_counter() + chance.random() * 0.05
            while time.perf_counter() < moment:
                pass
            writer.send_signal(signal.SIGKILL)
            acknowledged = int([told, *writer.stdout.read().split()][-1])
        kept, _ = LabelFile(path, keys).read()
        # The kill may have come between the disk and the message, never before what was told.
        assert times(kept) == list(range(len(kept))) and len(kept) > acknowledged
