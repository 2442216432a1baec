"""The watch over set-ups: the journal is told once, the metric counts sources."""

from pathlib import Path

from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.runtime.setup_watch import TRAINING, SetupWatch
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

NOW = 1_750_000_000.0


def anonymous_logs(count: int) -> Columns:
    """Logs that hold an address only."""
    addresses = [f"198.51.100.{i % 200}" for i in range(count)]
    nothing = [None] * count
    return columns_of(
        [NOW - count + i for i in range(count)],
        nothing,
        ["/"] * count,
        ["GET"] * count,
        [200] * count,
        nothing,
        addresses,
        nothing,
        nothing,
        nothing,
    )


def test_a_warning_is_in_the_journal_once_and_in_the_metric(tmp_path: Path) -> None:
    metrics = Metrics()
    journal = Journal("INFO", tmp_path / "journal.log")
    watch = SetupWatch(metrics, journal)
    for i in range(3):
        (found,) = watch.seen("env-1 detect", anonymous_logs(1_000), NOW + i)
    assert (found.code, found.logs, found.since) == ("no_user_and_no_agent", 3_000, NOW)
    (trained,) = watch.trained(anonymous_logs(300), NOW)
    assert (trained.source, trained.logs) == (TRAINING, 300)
    assert watch.warnings == [trained, found]
    watch.measure()
    journal.close()
    assert b'setup_warnings{code="no_user_and_no_agent"} 2.0' in metrics.text()
    assert b'setup_warnings{code="one_address"} 0.0' in metrics.text()
    assert (tmp_path / "journal.log").read_text().count("set-up looks wrong") == 2
