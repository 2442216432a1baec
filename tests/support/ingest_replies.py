"""Replies of POST /ingest for a server with scripted replies."""

from tests.support.client_server import Reply


def anomaly(line, user="u", **fields):
    """An anomaly in line `line` of a request."""
    reasons = [{"feature": "rate", "value": 9.0, "usual": 1.0, "text": "9 a minute, usually 1"}]
    return {
        "line": line,
        "log_index": line - 1,
        "timestamp": f"2024-02-01T00:00:{line % 60:02}+00:00",
        "user_id": user,
        "ip_address": "192.0.2.1",
        "endpoint": f"/{line}",
        "method": "GET",
        "status_code": 200,
        "anomaly_score": -0.8,
        "risk": 97.0,
        "severity": "critical",
        "reasons": reasons,
        **fields,
    }


def ingested(accepted, *anomalies, **fields):
    """The reply to a request of `accepted` logs; of `anomalies`, a number is a line."""
    found = [anomaly(item) if isinstance(item, int) else item for item in anomalies]
    body = {
        "accepted": accepted,
        "rejected": 0,
        "skipped": 0,
        "scored": accepted,
        "late": 0,
        "no_status": 0,
        "errors": [],
        "anomaly_count": len(found),
        "format": "combined",
        "model_version": "m1",
        "warnings": [],
        "anomalies": found,
        **fields,
    }
    return Reply(200, body)
