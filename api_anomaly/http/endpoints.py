"""The endpoints of the API as one table.

Dispatch, authorization, audit log, the OpenAPI document and docs/api.md come from it:
a new endpoint is a handler and a row. ``python -m api_anomaly.http.endpoints`` prints the tables of
docs/api.md.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from api_anomaly.errors import (
    AnomalyUnknown,
    FormatAmbiguous,
    FormatUnknown,
    ModelIncompatible,
    ModelNotFound,
    ModelNotTrained,
    ModelNotTrusted,
    NothingReadable,
    StorageFailed,
    TooFewLogs,
    TrainingInProgress,
)
from api_anomaly.feedback.decode import FeedbackBody
from api_anomaly.http import responses
from api_anomaly.http.auth.scopes import ADMIN, DETECT, FEEDBACK, INGEST, METRICS, READ, TRAIN
from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.handlers.detect import detect
from api_anomaly.http.handlers.feedback import feedback
from api_anomaly.http.handlers.health import health, ready
from api_anomaly.http.handlers.ingest import ingest, list_formats, refuse_ingest
from api_anomaly.http.handlers.metrics import metrics
from api_anomaly.http.handlers.models import load_model
from api_anomaly.http.handlers.status import status
from api_anomaly.http.handlers.subjects import delete_subject
from api_anomaly.http.handlers.train import train
from api_anomaly.http.problems import PROBLEMS, PROTOCOL_PROBLEMS, example_of
from api_anomaly.http.shipper_endpoints import SHIPPER_ENDPOINTS
from api_anomaly.logs.schema import DetectBody, HistoryTrainBody, Log, TrainBody

_LOG: Final[dict[str, Any]] = {
    "timestamp": "2025-06-06T08:43:09Z",
    "user_id": "usr_489562",
    "endpoint": "/api/v1/users/18834",
    "method": "GET",
    "status_code": 404,
    "response_time": 0.031,
    "ip_address": "203.0.113.9",
    "user_agent": "python-requests/2.31",
    "response_size": 120,
}

ENDPOINTS: Final = (
    # HEAD: the health check of Vector.
    Endpoint(
        "GET", "/health", health, None, responses.HealthResponse, always_served=True, also=("HEAD",)
    ),
    Endpoint("GET", "/ready", ready, None, responses.ReadyResponse, also=("HEAD",)),
    Endpoint("GET", "/metrics", metrics, METRICS, str),
    Endpoint(
        "POST",
        "/train",
        train,
        TRAIN,
        responses.TrainResponse,
        TrainBody[list[Log]] | HistoryTrainBody,
        errors=(TrainingInProgress, TooFewLogs, StorageFailed),
        example={
            "logs": [_LOG | {"timestamp": 1_749_199_389 + 7 * number} for number in range(10)],
            "test_size": 0.2,
        },
        audited=True,
        next=("detect", "status", "load-model"),
    ),
    Endpoint(
        "POST",
        "/detect",
        detect,
        DETECT,
        responses.DetectResponse,
        DetectBody[list[Log]],
        errors=(ModelNotTrained,),
        example={"logs": [_LOG], "include_scores": True},
        idempotent=True,
        next=("detect", "status", "metrics"),
    ),
    Endpoint(
        "POST",
        "/feedback",
        feedback,
        FEEDBACK,
        responses.FeedbackResponse,
        FeedbackBody,
        errors=(ModelNotTrained, AnomalyUnknown, StorageFailed),
        example={
            "items": [
                {"anomaly_id": "5f0c1d2e3a4b596877869504", "verdict": "false_positive"},
                {"log": _LOG, "verdict": "true_positive"},
            ]
        },
        audited=True,
        idempotent=True,
    ),
    Endpoint(
        "POST",
        "/ingest",
        ingest,
        INGEST,
        responses.IngestResponse,
        errors=(NothingReadable, FormatUnknown, FormatAmbiguous, StorageFailed),
        media_types=("text/plain", "application/x-ndjson", "application/json"),
        idempotent=True,
        next=("status", "formats"),
        also=("PUT",),
        refuse=refuse_ingest,
    ),
    Endpoint("GET", "/formats", list_formats, READ, responses.FormatsResponse),
    Endpoint("GET", "/status", status, READ, responses.StatusResponse),
    Endpoint(
        "POST",
        "/load-model",
        load_model,
        ADMIN,
        responses.LoadResponse,
        errors=(ModelNotFound, ModelNotTrusted, ModelIncompatible),
        audited=True,
        next=("detect", "status"),
    ),
    Endpoint(
        "DELETE",
        "/subjects/{subject}",
        delete_subject,
        ADMIN,
        responses.RemovedResponse,
        errors=(TrainingInProgress, StorageFailed),
        audited=True,
        slashes=True,
    ),
    *SHIPPER_ENDPOINTS,
)


def markdown_table(endpoints: Sequence[Endpoint] = ENDPOINTS) -> str:
    """The endpoints as a Markdown table; those that do the same share a row."""
    lines = ["| Endpoint | Scope | What it does | Errors of its own |", "|---|---|---|---|"]
    for _, rows in groupby(endpoints, lambda row: (row.handler, row.methods, row.scope)):
        endpoint, *others = rows
        summary = " ".join(endpoint.description.partition(". ")[0].rstrip(".").split())
        errors = ", ".join(f"{PROBLEMS[error].status} `{error.code}`" for error in endpoint.errors)
        errors = "as the protocol has them" if endpoint.foreign_errors else errors or "–"
        scope = f"`{endpoint.scope}`" if endpoint.scope else "none"
        paths = f"`{', '.join(endpoint.methods)} {endpoint.path}`"
        paths += "".join(f", `{other.path}`" for other in others)
        lines.append(f"| {paths} | {scope} | {summary}. | {errors} |")
    return "\n".join(lines)


def errors_markdown_table() -> str:
    """The errors as a Markdown table, by status."""
    bodies = [(problem.status, example_of(error)) for error, problem in PROBLEMS.items()]
    details: dict[tuple[int, str], str] = {}
    for code, body in [*bodies, *PROTOCOL_PROBLEMS.items()]:
        detail = body["detail"] if isinstance(body["detail"], str) else body["detail"][0]["msg"]
        details.setdefault((code, body["code"]), detail)
    lines = ["| Status | Code | Example of the detail |", "|---|---|---|"]
    lines += [f"| {code} | `{name}` | `{details[code, name]}` |" for code, name in sorted(details)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table(), errors_markdown_table(), sep="\n\n")
