"""Metrics: every row of the table is served, with its type, labels and meaning."""

from prometheus_client.parser import text_string_to_metric_families

from api_anomaly.telemetry.metrics import METRICS, Metrics

SAMPLES = {"histogram": "_count", "counter": "", "gauge": ""}


def families(metrics: Metrics) -> dict[str, object]:
    return {
        family.name: family for family in text_string_to_metric_families(metrics.text().decode())
    }


def test_every_row_is_served_with_its_type_and_meaning() -> None:
    served = families(Metrics())
    for row in METRICS:
        family = served[row.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (row.type, row.meaning)


def test_counts_sums_and_values_arrive_under_their_labels() -> None:
    metrics = Metrics()
    metrics.count("anomalies_detected_total", "high", by=3)
    metrics.count("anomalies_detected_total", "high")
    metrics.set("model_loaded", 1)
    metrics.observe("detect_batch_logs", 50)
    text = metrics.text().decode()
    assert 'anomalies_detected_total{severity="high"} 4.0' in text
    assert "model_loaded 1.0" in text
    assert 'detect_batch_logs_bucket{le="50.0"} 1.0' in text
    assert "detect_batch_logs_sum 50.0" in text


def test_labels_that_are_known_beforehand_start_at_zero() -> None:
    text = Metrics().text().decode()
    for severity in ("low", "medium", "high", "critical"):
        assert f'anomalies_detected_total{{severity="{severity}"}} 0.0' in text
    for outcome in ("success", "failed"):
        assert f'trainings_total{{outcome="{outcome}"}} 0.0' in text


def test_two_apps_of_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.count("logs_scored_total", by=7)
    assert "logs_scored_total 7.0" in first.text().decode()
    assert "logs_scored_total 0.0" in second.text().decode()


def test_no_series_tells_when_a_counter_began() -> None:
    assert "_created" not in Metrics().text().decode()
