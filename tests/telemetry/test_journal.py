"""The journal: readable on the terminal, JSON lines in the file, never the ruin of the service."""

import json
from pathlib import Path

import pytest

from api_anomaly.telemetry.journal import Journal


def entries(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_entry_is_one_json_line_in_the_file_and_readable_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal("INFO", tmp_path / "deep" / "journal.log")
    journal.info("something <happened> {here}", count=3, share=0.5, nothing=None)
    journal.debug("a detail")
    journal.close()
    (entry,) = entries(tmp_path / "deep" / "journal.log")
    assert entry.pop("time")
    assert entry == {
        "level": "INFO",
        "event": "something <happened> {here}",
        "count": 3,
        "share": 0.5,
        "nothing": None,
    }
    terminal = capsys.readouterr().err
    assert "something <happened> {here} count=3" in terminal
    assert "a detail" not in terminal


def test_a_failure_is_entered_by_type_and_place_without_its_message(tmp_path: Path) -> None:
    journal = Journal("INFO", tmp_path / "journal.log")
    try:
        raise RuntimeError("a secret of a user")
    except RuntimeError as error:
        journal.failure("request failed", error, request_id="0123")
    journal.close()
    (entry,) = entries(tmp_path / "journal.log")
    assert entry["error"] == "RuntimeError"
    assert str(entry["places"]).startswith("['test_journal.py:")
    assert "secret" not in (tmp_path / "journal.log").read_text()


def test_two_journals_of_one_process_do_not_mix(tmp_path: Path) -> None:
    first, second = Journal("INFO", tmp_path / "1.log"), Journal("DEBUG", tmp_path / "2.log")
    first.info("of the first")
    second.debug("of the second")
    first.close()
    second.info("after the other's end")
    second.close()
    assert [entry["event"] for entry in entries(tmp_path / "1.log")] == ["of the first"]
    assert [entry["event"] for entry in entries(tmp_path / "2.log")] == [
        "of the second",
        "after the other's end",
    ]


def test_a_file_that_cannot_be_opened_leaves_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    journal = Journal("INFO", tmp_path / "logs" / "journal.log")
    journal.warning("still here")
    journal.close()
    terminal = capsys.readouterr().err
    assert "log file cannot be opened, terminal only" in terminal
    assert "still here" in terminal
