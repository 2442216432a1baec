"""The journal: what was appended is read again, whatever a kill left behind."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.errors import StorageFailed
from api_anomaly.storage.history.journal import LogJournal, read_segment


def filled(folder: Path, payloads: list[bytes]) -> LogJournal:
    journal = LogJournal(folder)
    for payload in payloads:
        journal.append(payload)
    return journal


def test_records_are_read_in_order_after_any_position(tmp_path: Path) -> None:
    journal = filled(tmp_path, [b"a", b"b"])
    journal.roll()
    journal.append(b"c")
    assert list(journal.read(0)) == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert list(journal.read(2)) == [(3, b"c")]
    again = LogJournal(tmp_path)
    assert again.last == 3
    assert list(again.read(1)) == [(2, b"b"), (3, b"c")]
    assert again.append(b"d") == 4


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.data())
def test_a_segment_that_was_cut_anywhere_keeps_all_whole_records(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    filled(folder, payloads)
    (path,) = folder.glob("*.journal")
    ends = [end for _, _, end in read_segment(path)]
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)
    whole = sum(end <= cut for end in ends)
    journal = LogJournal(folder)
    assert [payload for _, payload in journal.read(0)] == payloads[:whole]
    assert journal.append(b"next") == whole + 1
    assert [payload for _, payload in LogJournal(folder).read(0)] == [*payloads[:whole], b"next"]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_ends_the_segment_and_is_never_read(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    filled(folder, [b"first" * 3, b"second" * 3])
    (path,) = folder.glob("*.journal")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(content)
    found = [payload for _, payload in LogJournal(folder).read(0)]
    assert found in ([], [b"first" * 3])


def test_compacted_segments_are_dropped_up_to_a_position_only(tmp_path: Path) -> None:
    journal = filled(tmp_path, [b"a"])
    journal.roll()
    journal.append(b"b")
    journal.roll()
    journal.drop_through(2)
    assert len(journal.closed) == 2  # none is in Parquet files
    for segment in list(journal.closed):
        journal.mark_compacted(segment)
    journal.drop_through(1)
    assert list(journal.read(0)) == [(2, b"b")]
    again = LogJournal(tmp_path)
    assert again.last == 2 and again.closed[0].compacted


def test_a_record_that_does_not_fit_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = filled(tmp_path, [b"a"])
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if b"too large" in bytes(data):
            write(descriptor, bytes(data)[:4])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageFailed, match="the disk is full"):
        journal.append(b"too large")
    assert journal.append(b"b") == 2
    assert list(journal.read(0)) == [(1, b"a"), (2, b"b")]
