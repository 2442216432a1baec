"""The panels of the three dashboards, one row each. ``build.py`` makes Grafana's JSON of them.

`{who}` in a query stands for the job and the instances chosen at the top of the dashboard. Units
are Grafana's: s, reqps, percentunit, short, bytes, dateTimeAsIso ...
"""

from typing import NamedTuple


class Panel(NamedTuple):
    """One panel: what it shows, why one looks at it, and its queries as (PromQL, legend) pairs.

    `kind` is timeseries, stat, heatmap or table. `width` is in Grafana's grid of 24. `limit` draws
    a line where an alert begins.
    """

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 12
    limit: float | None = None


class Dashboard(NamedTuple):
    """One dashboard: its file name (also its uid), title, description and panels."""

    name: str
    title: str
    description: str
    panels: tuple[Panel, ...]


RATE = "[$__rate_interval]"

API_PERFORMANCE = Dashboard(
    "api-performance",
    "API Performance",
    "How much the service is asked, how fast and how well it answers.",
    (
        Panel(
            "Requests",
            "Requests a second, all endpoints.",
            "reqps",
            ((f"sum(rate(api_requests_total{{who}}{RATE}))", "requests"),),
            "stat",
            6,
        ),
        Panel(
            "Errors",
            "Share of the requests that failed on the service's side (5xx). Alert at 5 %.",
            "percentunit",
            (
                (
                    f'(sum(rate(api_requests_total{{who,status=~"5.."}}{RATE})) or vector(0))'
                    f" / (sum(rate(api_requests_total{{who}}{RATE})) > 0)",
                    "5xx",
                ),
            ),
            "stat",
            6,
            0.05,
        ),
        Panel(
            "Detection, 99th percentile",
            "99 of 100 calls of /detect take no longer than this. Alert at 2.5 s.",
            "s",
            (
                (
                    "histogram_quantile(0.99, sum by (le) (rate(api_request_duration_seconds_bucket"
                    f'{{who,endpoint="/detect"}}{RATE})))',
                    "p99",
                ),
            ),
            "stat",
            6,
            2.5,
        ),
        Panel(
            "Logs scored",
            "Logs a second that /detect scored.",
            "short",
            ((f"sum(rate(logs_scored_total{{who}}{RATE}))", "logs"),),
            "stat",
            6,
        ),
        Panel(
            "Requests by endpoint",
            "Requests a second by route template; unknown paths are `unmatched`.",
            "reqps",
            ((f"sum by (endpoint) (rate(api_requests_total{{who}}{RATE}))", "{{endpoint}}"),),
        ),
        Panel(
            "Requests by status",
            "2xx answered, 4xx rejected (see Rejected requests), 499 the client left, 5xx failed.",
            "reqps",
            ((f"sum by (status) (rate(api_requests_total{{who}}{RATE}))", "{{status}}"),),
        ),
        Panel(
            "Duration of /detect",
            "From the arrival of a request's headers to the end of its answer. The time grows with"
            " the batch: compare with Batch sizes.",
            "s",
            tuple(
                (
                    f"histogram_quantile({share}, sum by (le) (rate("
                    f'api_request_duration_seconds_bucket{{who,endpoint="/detect"}}{RATE})))',
                    f"p{round(100 * share)}",
                )
                for share in (0.5, 0.9, 0.99)
            ),
            limit=2.5,
        ),
        Panel(
            "Mean duration by endpoint",
            "Seconds an average request takes, by endpoint.",
            "s",
            (
                (
                    f"sum by (endpoint) (rate(api_request_duration_seconds_sum{{who}}{RATE}))"
                    f" / (sum by (endpoint) (rate(api_request_duration_seconds_count{{who}}{RATE}))"
                    " > 0)",
                    "{{endpoint}}",
                ),
            ),
        ),
        Panel(
            "Batch sizes",
            "Logs in one call of /detect. Many calls of one log cost more than one of many.",
            "short",
            tuple(
                (
                    f"histogram_quantile({share}, sum by (le) "
                    f"(rate(detect_batch_logs_bucket{{who}}{RATE})))",
                    f"p{round(100 * share)}",
                )
                for share in (0.5, 0.99)
            ),
        ),
        Panel(
            "Rejected requests",
            "Requests refused, by error code: unauthorized, validation_error, body_too_large ...",
            "reqps",
            ((f"sum by (code) (rate(rejected_requests_total{{who}}{RATE}))", "{{code}}"),),
        ),
        Panel(
            "Turned away",
            "Requests a second answered 503 because too much is open, held or waiting. Shippers"
            " send them again. Alert at 1.",
            "reqps",
            ((f"sum by (reason) (rate(requests_shed_total{{who}}{RATE}))", "{{reason}}"),),
            limit=1,
        ),
        Panel(
            "Callers refused",
            "Callers a second without a valid token, by reason: missing, wrong, limited, scope.",
            "reqps",
            ((f"sum by (reason) (rate(auth_failures_total{{who}}{RATE}))", "{{reason}}"),),
        ),
    ),
)

ANOMALY_DETECTION = Dashboard(
    "anomaly-detection",
    "Anomaly Detection",
    "What is found, and whether the model still fits the traffic.",
    (
        Panel(
            "Anomalies",
            "Anomalies found in the chosen time.",
            "short",
            (("sum(increase(anomalies_detected_total{who}[$__range]))", "anomalies"),),
            "stat",
            6,
        ),
        Panel(
            "Critical anomalies",
            "Anomalies of severity critical in the chosen time. Alert at 20 in ten minutes.",
            "short",
            (
                (
                    'sum(increase(anomalies_detected_total{who,severity="critical"}[$__range]))',
                    "critical",
                ),
            ),
            "stat",
            6,
        ),
        Panel(
            "Model age",
            "Time since the served model was trained. Alert at 30 days.",
            "s",
            (("time() - max(model_trained_timestamp_seconds{who} > 0)", "age"),),
            "stat",
            6,
            30 * 86_400,
        ),
        Panel(
            "Threshold",
            "The served model's: logs that score below it are anomalies. The scale is"
            " scikit-learn's, from -1 to 0.",
            "short",
            (("max(model_threshold{who})", "threshold"),),
            "stat",
            6,
        ),
        Panel(
            "Anomalies by severity",
            "Anomalies a minute.",
            "short",
            (
                (
                    f"60 * sum by (severity) (rate(anomalies_detected_total{{who}}{RATE}))",
                    "{{severity}}",
                ),
            ),
        ),
        Panel(
            "Flagged, against the budget",
            "Share of the logs that are flagged, and the share the model was calibrated to. Far"
            " above the budget: an attack, or traffic the model does not know.",
            "percentunit",
            (
                (
                    f"sum(rate(anomalies_detected_total{{who}}{RATE}))"
                    f" / (sum(rate(logs_scored_total{{who}}{RATE})) > 0)",
                    "flagged",
                ),
                ("max(model_alert_budget{who})", "budget"),
            ),
        ),
        Panel(
            "Scores",
            "Distribution of minus the score: 0.5 is ordinary, 1 the most anomalous. The dark band"
            " stays where it was after training while the model fits.",
            "short",
            ((f"sum by (le) (increase(log_anomaly_score_bucket{{who}}{RATE}))", "{{le}}"),),
            "heatmap",
        ),
        Panel(
            "Score percentiles",
            "Training puts the median at 0.5. Alert below 0.3 and above 0.7.",
            "short",
            tuple(
                (
                    f"histogram_quantile({share}, sum by (le) "
                    f"(rate(log_anomaly_score_bucket{{who}}{RATE})))",
                    f"p{100 * share:g}",
                )
                for share in (0.5, 0.9, 0.99)
            ),
            limit=0.7,
        ),
        Panel(
            "Logs with a history",
            "Share of the logs whose user or address had been seen often enough to be compared with"
            " its own past. Low after a start without memory; it rises by itself.",
            "percentunit",
            (
                (
                    f"sum(rate(logs_with_history_total{{who}}{RATE}))"
                    f" / (sum(rate(logs_scored_total{{who}}{RATE})) > 0)",
                    "with a history",
                ),
            ),
        ),
        Panel(
            "Verdicts",
            "Verdicts that count now, and those taken in the last hour.",
            "short",
            (
                ("sum by (verdict) (feedback_active{who})", "{{verdict}}, counting"),
                ("sum by (verdict) (increase(feedback_total{who}[1h]))", "{{verdict}}, taken"),
            ),
        ),
        Panel(
            "Moved by verdicts",
            "Logs a minute that are anomalies (raised), or are none (quieted), because of verdicts."
            " Many quieted ones of late: look whether a verdict still holds.",
            "short",
            (
                (
                    f"60 * sum by (direction) (rate(feedback_moved_logs_total{{who}}{RATE}))",
                    "{{direction}}",
                ),
            ),
        ),
        Panel(
            "Trainings",
            "Trainings that ended in the last hour, and whether one runs.",
            "short",
            (
                ("sum by (outcome) (increase(trainings_total{who}[1h]))", "{{outcome}}"),
                ("sum(training_running{who})", "running"),
            ),
        ),
        Panel(
            "Last training",
            "How long it took.",
            "s",
            (("max(training_duration_seconds{who})", "duration"),),
            "stat",
            6,
        ),
        Panel(
            "Logs of the training",
            "Logs that the served model was trained on.",
            "short",
            (("max(model_training_logs{who})", "logs"),),
            "stat",
            6,
        ),
        Panel(
            "Served model",
            "Version of the model in service; its date is the moment of its training, in UTC.",
            "short",
            (("max by (version, instance) (model_info{who})", "{{version}}"),),
            "table",
        ),
    ),
)

SYSTEM_HEALTH = Dashboard(
    "system-health",
    "System Health",
    "Whether the process is well, and whether what it knows is safe.",
    (
        Panel(
            "Up",
            "1 while Prometheus reaches the service.",
            "short",
            (("min(up{who})", "up"),),
            "stat",
            6,
        ),
        Panel(
            "Model loaded",
            "1 while a model is served.",
            "short",
            (("min(model_loaded{who})", "loaded"),),
            "stat",
            6,
        ),
        Panel(
            "Uptime",
            "Time since the process started.",
            "s",
            (("time() - max(process_start_time_seconds{who})", "uptime"),),
            "stat",
            6,
        ),
        Panel(
            "Snapshot age",
            "Time since the memory was last kept on disk: what a crash would forget. Alert at ten"
            " minutes.",
            "s",
            (("time() - max(snapshot_last_success_timestamp_seconds{who} > 0)", "age"),),
            "stat",
            6,
            600,
        ),
        Panel(
            "Memory of the process",
            "Resident memory: what counts against the limit. Alert at 90 % of 4 GiB; there the"
            " process would be killed.",
            "bytes",
            (("sum by (instance) (process_resident_memory_bytes{who})", "{{instance}}"),),
            limit=0.9 * 4 * 1024**3,
        ),
        Panel(
            "Processor",
            "Processor seconds used a second; 1 is one processor fully at work.",
            "short",
            (
                (
                    f"sum by (instance) (rate(process_cpu_seconds_total{{who}}{RATE}))",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Users and addresses remembered",
            "Share of the memory for users and addresses that is used. Alert at 90 %: at 100 % the"
            " least recently seen are forgotten.",
            "percentunit",
            (
                (
                    'max by (instance) (memory_entities{who,kind="actors"}'
                    " / ignoring (kind) memory_capacity_entities{who})",
                    "{{instance}}",
                ),
            ),
            limit=0.9,
        ),
        Panel(
            "Remembered",
            "Users and addresses (actors), and endpoints, that have a past.",
            "short",
            (("sum by (kind) (memory_entities{who})", "{{kind}}"),),
        ),
        Panel(
            "Forgotten because the memory was full",
            "Actors and endpoints a second that were dropped for newer ones. More than a few: raise"
            " MEMORY_ENTITIES.",
            "short",
            ((f"sum(rate(memory_evictions_total{{who}}{RATE}))", "forgotten"),),
        ),
        Panel(
            "Snapshots",
            "Memory snapshots in the last hour, by outcome.",
            "short",
            (("sum by (outcome) (increase(snapshots_total{who}[1h]))", "{{outcome}}"),),
        ),
        Panel(
            "History",
            "Logs that are kept, and the bytes of those that are not in Parquet files yet.",
            "short",
            (
                ("sum by (instance) (history_logs{who})", "{{instance}} logs"),
                ("sum by (instance) (history_journal_bytes{who})", "{{instance}} bytes"),
            ),
        ),
        Panel(
            "Scoring held up by a snapshot",
            "Seconds for which the last snapshot copied the memory.",
            "s",
            (("max by (instance) (snapshot_copy_seconds{who})", "{{instance}}"),),
        ),
        Panel(
            "Logs ingested",
            "Logs taken in a second, lines that could not be read, and requests that were retries.",
            "short",
            (
                ("sum(rate(logs_ingested_total{who}[5m]))", "logs"),
                ("sum(rate(log_lines_rejected_total{who}[5m]))", "rejected"),
                ("sum(rate(ingest_retries_total{who}[5m]))", "retries"),
            ),
        ),
        Panel(
            "Set-up warnings",
            "Wrong set-ups that show in the logs, by code; /status says each in words.",
            "short",
            (("max by (code) (setup_warnings{who})", "{{code}}"),),
        ),
        Panel(
            "Open files",
            "File descriptors in use (connections count too), and how many there may be.",
            "short",
            (
                ("sum by (instance) (process_open_fds{who})", "{{instance}} open"),
                ("sum by (instance) (process_max_fds{who})", "{{instance}} at most"),
            ),
        ),
        Panel(
            "Connections",
            "Connections that are open, and requests being answered.",
            "short",
            (
                ("sum(open_connections{who})", "connections"),
                ("sum(open_requests{who})", "requests"),
            ),
        ),
        Panel(
            "Connections closed",
            "Connections a second that the service ended: headers slow or large, answers unread,"
            " closed for a new one, no HTTP.",
            "short",
            ((f"sum by (reason) (rate(connections_closed_total{{who}}{RATE}))", "{{reason}}"),),
        ),
        Panel(
            "Failures of the disk",
            "Failures in the last hour, by what could not be read or written. Any is an alert.",
            "short",
            (("sum by (what) (increase(storage_failures_total{who}[1h]))", "{{what}}"),),
        ),
        Panel(
            "Entries of the token file",
            "Entries that are accepted now; 0 without a token file.",
            "short",
            (("max(token_entries{who})", "entries"),),
            "stat",
            6,
        ),
        Panel(
            "Release",
            "Version of the service that runs.",
            "short",
            (("max by (version, instance) (service_info{who})", "{{version}}"),),
            "table",
        ),
    ),
)

DASHBOARDS = (API_PERFORMANCE, ANOMALY_DETECTION, SYSTEM_HEALTH)
