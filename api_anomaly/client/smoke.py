"""A smoke test of a running deployment: checks the HTTP contract, and times each check.

It replaces the model only with `--train`. The logs that it sends have users of its own, whose names
start with `pipeline-test-`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from api_anomaly.logs.records import LogFields
from api_anomaly.client.smoke_logs import make_benign_logs, make_log, make_refused_burst

_ANOMALY_FIELDS = frozenset(
    "log_index timestamp user_id endpoint method status_code response_time ip_address"
    " anomaly_score severity risk reasons".split()
)
_DETECT_FIELDS = frozenset(
    "anomalies total_logs anomaly_count anomaly_rate model_confidence model_version"
    " threshold".split()
)
_STATUS_FIELDS = frozenset("is_trained training_date model_accuracy feature_count".split())
_METRICS = ("api_requests_total", "api_request_duration_seconds", "anomalies_detected_total")


class CheckFailed(Exception):
    """The deployment breaks the contract; the text says how."""


class CheckSkipped(Exception):
    """A check that does not apply; the text says why."""


@dataclass
class Deployment:
    """The service under test, and what the checks found out about it so far."""

    with_token: httpx.Client
    without_token: httpx.Client
    train: bool
    trained: bool = False
    run_id: str = field(default_factory=lambda: uuid4().hex[:8])

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.with_token.post(path, json=body, headers=headers)

    def detect(self, logs: list[LogFields], key: str | None = None, **options: Any) -> Any:
        """POST /detect, which must succeed."""
        return read_json(self.post("/detect", {"logs": logs, **options}, key), 200)


def read_json(response: httpx.Response, status: int) -> Any:
    """The JSON body of a response that must have this status. Raises CheckFailed."""
    if response.status_code != status:
        path = response.request.url.path
        raise CheckFailed(
            f"{path} answered {response.status_code}, not {status}: {response.text[:200]}"
        )
    try:
        return response.json()
    except ValueError as error:
        raise CheckFailed(
            f"{response.request.url.path} did not answer JSON: {response.text[:200]}"
        ) from error


def check_health(deployment: Deployment) -> str:
    """GET /health needs no token."""
    body = read_json(deployment.without_token.get("/health"), 200)
    if body.get("status") != "healthy":
        raise CheckFailed(f"/health says {body}")
    return (
        f"version {body.get('version')}, model {'loaded' if body.get('model_loaded') else 'absent'}"
    )


def check_auth(deployment: Deployment) -> str:
    """No token and a wrong token are 401, on every kind of endpoint."""
    wrong = {"Authorization": "Bearer not-the-token"}
    for headers in ({}, wrong):
        for method, path in (("GET", "/status"), ("POST", "/detect"), ("POST", "/train")):
            response = deployment.without_token.request(
                method, path, headers=headers, json={"logs": []} if method == "POST" else None
            )
            read_json(response, 401)
            if response.headers.get("WWW-Authenticate") != "Bearer":
                raise CheckFailed(f"401 of {path} has no WWW-Authenticate: Bearer")
    return "no token and a wrong token are 401"


def check_metrics(deployment: Deployment) -> str:
    """GET /metrics is Prometheus text with the families of the contract."""
    response = deployment.without_token.get("/metrics")
    missing = [
        name for name in _METRICS if f"# TYPE {name.removesuffix('_total')}" not in response.text
    ]
    if response.status_code != 200 or missing:
        raise CheckFailed(f"/metrics answered {response.status_code} without {missing}")
    return f"{response.text.count('# TYPE')} families"


def check_status(deployment: Deployment) -> str:
    """GET /status with the token."""
    body = read_json(deployment.with_token.get("/status"), 200)
    missing = _STATUS_FIELDS - set(body)
    if missing:
        raise CheckFailed(f"/status lacks {sorted(missing)}")
    deployment.trained = bool(body["is_trained"])
    return f"model {body.get('model_version')}" if deployment.trained else "no model"


def check_train(deployment: Deployment) -> str:
    """POST /train replaces the model, so only with --train."""
    if not deployment.train:
        raise CheckSkipped("--train was not given: the served model is left alone")
    logs = make_benign_logs(20, 2000, deployment.run_id, time.time() - 600)
    body = read_json(deployment.post("/train", {"logs": logs}), 200)
    deployment.trained = True
    return f"model {body['model_version']} from {body['training_samples']:,} logs"


def check_errors(deployment: Deployment) -> str:
    """An invalid log is 422, with its position and a code."""
    logs = [make_log(time.time(), "pipeline-test", "/"), {"timestamp": "yesterday"}]
    body = read_json(deployment.post("/detect", {"logs": logs}), 422)
    locations = [item["loc"] for item in body["detail"]]
    if "code" not in body or not all(1 in location for location in locations):
        raise CheckFailed(f"422 says {str(body)[:200]}")
    return f"422 with the code {body['code']}"


def check_detect(deployment: Deployment) -> str:
    """POST /detect answers with the fields of the contract; its memory stays as it was."""
    require_model(deployment)
    now = time.time()
    logs = make_benign_logs(20, 200, deployment.run_id, now) + make_refused_burst(
        now, f"pipeline-test-{deployment.run_id}", 100
    )
    body = deployment.detect(logs, include_scores=True, update_state=False)
    missing = _DETECT_FIELDS - set(body)
    if missing or body["total_logs"] != len(logs) or len(body["scores"]) != len(logs):
        raise CheckFailed(f"/detect lacks {sorted(missing)} or miscounts {len(logs)} logs")
    for anomaly in body["anomalies"]:
        if not _ANOMALY_FIELDS <= set(anomaly) or not -1 <= anomaly["anomaly_score"] < 0:
            raise CheckFailed(f"an anomaly is not as in the contract: {str(anomaly)[:200]}")
    return f"{body['anomaly_count']} anomalies in {len(logs)} logs"


def check_memory(deployment: Deployment) -> str:
    """A score depends on earlier logs of the user, but not on those with `update_state: false`."""
    require_model(deployment)
    now, user = time.time(), f"pipeline-test-{deployment.run_id}-memory"
    probe = [make_log(now + 31, user, "/api/orders/9301", status_code=403)]
    read_only: dict[str, Any] = {"include_scores": True, "update_state": False}
    before = deployment.detect(probe, **read_only)["scores"]
    deployment.detect(make_refused_burst(now, user, 300), update_state=False)
    if deployment.detect(probe, **read_only)["scores"] != before:
        raise CheckFailed("logs with update_state: false changed a later score")
    deployment.detect(make_refused_burst(now, user, 300))
    after = deployment.detect(probe, **read_only)["scores"]
    if after == before:
        raise CheckFailed("300 refused requests of a user did not change the score of the next one")
    return f"score {before[0]:.3f} before, {after[0]:.3f} after 300 refused requests"


def check_retry(deployment: Deployment) -> str:
    """A repeated Idempotency-Key gets the first answer again."""
    require_model(deployment)
    logs = make_refused_burst(time.time(), f"pipeline-test-{deployment.run_id}-retry", 50)
    first, second = (
        deployment.detect(logs, deployment.run_id, include_scores=True) for _ in range(2)
    )
    if first != second:
        raise CheckFailed("a retry with the same Idempotency-Key got another answer")
    return "a retry gets the first answer"


def check_load(deployment: Deployment) -> str:
    """POST /load-model loads the model that was just trained."""
    if not deployment.train:
        raise CheckSkipped("--train was not given: the served model is left alone")
    body = read_json(deployment.with_token.post("/load-model"), 200)
    return f"model {body['model_version']}"


def require_model(deployment: Deployment) -> None:
    if not deployment.trained:
        raise CheckSkipped("there is no model yet; --train would train one")


Checks = Mapping[str, Callable[[Deployment], str]]
CHECKS: Checks = {
    "health": check_health,
    "authentication": check_auth,
    "metrics": check_metrics,
    "status": check_status,
    "train": check_train,
    "invalid logs": check_errors,
    "detect": check_detect,
    "memory": check_memory,
    "retry": check_retry,
    "load model": check_load,
}


class Result(NamedTuple):
    """How one check went; `result` is passed, failed or skipped."""

    name: str
    result: str
    seconds: float
    detail: str


def run_checks(deployment: Deployment, checks: Checks = CHECKS) -> Iterator[Result]:
    """Each check, in order. When the first one gets no answer, the others are skipped."""
    reachable = True
    for name, check in checks.items():
        started = time.perf_counter()
        try:
            if not reachable:
                raise CheckSkipped("no service answers")
            result, detail = "passed", check(deployment)
        except CheckSkipped as reason:
            result, detail = "skipped", str(reason)
        except CheckFailed as reason:
            result, detail = "failed", str(reason)
        except httpx.HTTPError as error:
            result, detail = "failed", f"{type(error).__name__}: {error}"
            reachable = reachable and name != "health"
        except (KeyError, TypeError, ValueError) as error:
            result, detail = "failed", f"unexpected shape of the answer: {error!r}"
        yield Result(name, result, time.perf_counter() - started, detail)
