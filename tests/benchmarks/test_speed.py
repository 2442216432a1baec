"""scripts/speed: arithmetic, goals and guards, the page, and a load that measures stalls."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.open_loop import load
from benchmarks.speed import report
from benchmarks.speed.echo import Body
from benchmarks.speed.goals import GOALS, broken_guards, compare_with_goals
from benchmarks.speed.history import history, split_history
from benchmarks.closed_loop import request_bytes
from benchmarks.speed.measures import quantile, ratios, spread
from benchmarks.speed.naive_service import features
from benchmarks.speed.report import Table

LOG: dict[str, Any] = {
    "timestamp": "2025-06-03T00:02:28.740Z",
    "user_id": "u",
    "endpoint": "/a/2025-06-03",
    "method": "GET",
    "status_code": 404,
}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert quantile(values, 0.5) == 50.0
    assert quantile(values, 0.99) == 99.0
    assert quantile(values, 1.0) == 100.0
    assert quantile([7.0], 0.0) == 7.0


def test_ratios_are_computed_turn_by_turn() -> None:
    # The machine was ten times as slow in the second turn; the ratio did not change.
    assert ratios([10.0, 1.0, 12.0], [20.0, 2.0, 20.0]) == (0.5, 0.5, 0.6)
    assert spread([3.0, 1.0, 2.0]).text(".1f", 10.0) == "20.0 (10.0 to 30.0)"


def test_a_missed_goal_is_printed_as_missed_and_an_unmeasured_one_is_not_met() -> None:
    rows = {row[0]: row[1:] for row in compare_with_goals({"echo_single": 0.5, "memory": 511.0})}
    assert rows["one log in a request: requests/s against the echo"] == (
        "at least 0.85 x",
        "0.50 x",
        "MISSED",
    )
    assert rows["resident with 1,000,000 users and addresses"][-1] == "met"
    assert rows["start to the first response, code compiled"][1:] == ("not measured", "–")


def test_a_goal_is_met_at_its_exact_limit() -> None:
    (goal,) = (goal for goal in GOALS if goal.figure == "training_lost")
    assert goal.wanted is not None
    assert goal.is_met(0.0, goal.wanted)
    assert not goal.is_met(1.0, goal.wanted)


def test_a_broken_guard_is_named_and_an_unmeasured_figure_passes() -> None:
    guarded = {goal.figure: goal for goal in GOALS if goal.guard is not None}
    assert {"echo_single", "echo_batch", "parse_cpu"} <= set(guarded)
    assert broken_guards({}) == []
    for figure, goal in guarded.items():
        assert goal.guard is not None
        assert broken_guards({figure: goal.guard}) == []
        (line,) = broken_guards({figure: goal.guard * (0.9 if goal.at_least else 1.1)})
        assert line.startswith(f"TOO SLOW: {goal.text}: ")


def test_no_guard_is_stricter_than_its_goal() -> None:
    for goal in GOALS:
        if goal.guard is not None and goal.wanted is not None:
            assert goal.is_met(goal.wanted, goal.guard)


def test_the_page_holds_the_machine_the_goals_and_every_table(tmp_path: Path) -> None:
    table = Table("Some figures", ("", "logs/s"), [("ours", "12")], ["A note."])
    figures = {"constant_p99": float("inf"), "echo_single": 0.9}
    report.write(tmp_path, [report.goals(figures), table], figures, report.machine())
    page = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert "Python 3." in page
    assert (
        "| one log in a request: requests/s against the echo | at least 0.85 x | 0.90 x |" in page
    )
    assert "## Some figures\n\n|  | logs/s |\n|---|---:|\n| ours | 12 |\n\nA note.\n" in page
    kept = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert kept["figures"] == {"constant_p99": None, "echo_single": 0.9}
    assert kept["tables"][1]["rows"] == [["ours", "12"]]


def test_a_table_is_aligned_for_a_terminal() -> None:
    shown = report.to_text(Table("T", ("", "logs/s"), [("ours", "1,000"), ("theirs", "7")]))
    assert shown.splitlines()[2:] == ["          logs/s", "  ours     1,000", "  theirs       7"]


def test_a_long_history_repeats_its_days_on_later_dates() -> None:
    logs = [LOG, LOG | {"timestamp": "2025-06-04T10:00:00Z"}]
    made = json.loads(history(logs, 5))["logs"]
    assert [log["timestamp"][:10] for log in made] == [
        "2025-06-03",
        "2025-06-04",
        "2025-06-05",
        "2025-06-06",
        "2025-06-07",
    ]
    assert {log["endpoint"] for log in made} == {"/a/2025-06-03"}
    pieces = [json.loads(body)["logs"] for body in split_history(logs, 5, 2)]
    assert sum(pieces, []) == made
    assert [len(piece) for piece in pieces] == [2, 2, 1]


def test_the_naive_service_counts_the_logs_of_a_user_in_the_batch() -> None:
    other = LOG | {"user_id": None, "status_code": 200, "response_time": 0.5}
    rows = features(Body.model_validate({"logs": [LOG, LOG, other]}))
    assert rows.shape == (3, 12)
    assert rows[:, 6].tolist() == [2.0, 2.0, 1.0]
    assert rows[:, 7].tolist() == [1.0, 1.0, 0.0]
    assert features(Body.model_validate({"logs": [LOG]})).shape == (1, 12)


@contextmanager
def _stalling_server(after: int, seconds: float) -> Iterator[int]:
    """A server with one thread that sleeps once for `seconds`; yields its port."""
    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        server.settimeout(0.005)

        def serve() -> None:
            open_: list[socket.socket] = []
            answered = 0
            while not closed.is_set():
                try:
                    connection, _ = server.accept()
                    connection.setblocking(False)
                    open_.append(connection)
                except TimeoutError:
                    pass
                for connection in open_:
                    try:
                        if not connection.recv(65_536):
                            continue
                    except BlockingIOError:
                        continue
                    answered += 1
                    if answered == after:
                        time.sleep(seconds)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            for connection in open_:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            closed.set()
            thread.join()


def test_a_stall_counts_for_all_requests_that_were_due_meanwhile() -> None:
    rate, stall = 100.0, 0.5
    with _stalling_server(after=30, seconds=stall) as port:
        found = load(port, [request_bytes(b"{}", "t")], rate, 1.5, probe=False)
    assert found.statuses == {200: 150}
    # A closed loop would have seen one slow answer. Here 50 were due in half a second, and waited
    # the rest of it: half of them longer than half of it.
    waited = sum(latency > stall / 2 for latency in found.accepted)
    assert 0.6 * rate * stall / 2 <= waited <= 2.0 * rate * stall / 2
    assert quantile(found.accepted, 0.99) > 0.8 * stall
    # The load itself went on meanwhile.
    assert len(found.lags) == 150
    assert quantile(found.lags, 0.5) < stall / 4


def test_requests_without_a_response_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.open_loop._TIMEOUT", 0.1)
    with _stalling_server(after=1, seconds=1.0) as port:
        found = load(port, [request_bytes(b"{}", "t")], 50.0, 0.2, probe=False)
    assert found.statuses == {0: 10}


def test_a_load_without_a_free_connection_sleeps_and_does_not_count_as_lag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.open_loop.CONNECTIONS", 3)
    with _stalling_server(after=10, seconds=1.0) as port:
        used = time.thread_time()
        found = load(port, [request_bytes(b"{}", "t")], 100.0, 1.2, probe=False)
        used = time.thread_time() - used
    assert found.statuses == {200: 120}
    assert quantile(found.accepted, 0.5) > 0.3
    assert quantile(found.lags, 0.5) < 0.2
    assert used < 0.4
