"""A smoke test of a running deployment: does it keep the contract's promises, and how fast?

Replaces no model, unless asked to with `--train`. What it makes the service remember belongs to
users of its own, whose names start with `pipeline-test-`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from api_anomaly.logs.formats.fields import Log
from api_anomaly.client.smoke_logs import burst, one_log, ordinary

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


class Broken(Exception):
    """A promise is not kept; the text says which."""


class Skipped(Exception):
    """A check that does not apply; the text says why."""


@dataclass
class Deployment:
    """The service under test and what was learnt about it so far."""

    with_token: httpx.Client
    without_token: httpx.Client
    train: bool
    trained: bool = False
    run: str = field(default_factory=lambda: uuid4().hex[:8])

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        """POST a JSON body with the token."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.with_token.post(path, json=body, headers=headers)

    def detect(self, logs: list[Log], key: str | None = None, **options: Any) -> Any:
        """POST /detect, which must succeed."""
        return wanted(self.post("/detect", {"logs": logs, **options}, key), 200)


def wanted(response: httpx.Response, status: int) -> Any:
    """The JSON body of a response that must have this status."""
    if response.status_code != status:
        path = response.request.url.path
        raise Broken(f"{path} answered {response.status_code}, not {status}: {response.text[:200]}")
    try:
        return response.json()
    except ValueError as error:
        raise Broken(
            f"{response.request.url.path} answered no JSON: {response.text[:200]}"
        ) from error


def check_health(deployment: Deployment) -> str:
    """GET /health needs no token."""
    body = wanted(deployment.without_token.get("/health"), 200)
    if body.get("status") != "healthy":
        raise Broken(f"/health says {body}")
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
            wanted(response, 401)
            if response.headers.get("WWW-Authenticate") != "Bearer":
                raise Broken(f"401 of {path} has no WWW-Authenticate: Bearer")
    return "no token and a wrong token are 401"


def check_metrics(deployment: Deployment) -> str:
    """GET /metrics is Prometheus text with the promised families."""
    response = deployment.without_token.get("/metrics")
    missing = [
        name for name in _METRICS if f"# TYPE {name.removesuffix('_total')}" not in response.text
    ]
    if response.status_code != 200 or missing:
        raise Broken(f"/metrics answered {response.status_code} without {missing}")
    return f"{response.text.count('# TYPE')} families"


def check_status(deployment: Deployment) -> str:
    """GET /status with the token."""
    body = wanted(deployment.with_token.get("/status"), 200)
    missing = _STATUS_FIELDS - set(body)
    if missing:
        raise Broken(f"/status lacks {sorted(missing)}")
    deployment.trained = bool(body["is_trained"])
    return f"model {body.get('model_version')}" if deployment.trained else "no model"


def check_train(deployment: Deployment) -> str:
    """POST /train replaces the model, so only with --train."""
    if not deployment.train:
        raise Skipped("--train was not given: the served model is left alone")
    logs = ordinary(20, 2000, deployment.run, time.time() - 600)
    body = wanted(deployment.post("/train", {"logs": logs}), 200)
    deployment.trained = True
    return f"model {body['model_version']} from {body['training_samples']:,} logs"


def check_errors(deployment: Deployment) -> str:
    """A faulty log is 422, with its position and a code."""
    faulty = [one_log(time.time(), "pipeline-test", "/"), {"timestamp": "yesterday"}]
    body = wanted(deployment.post("/detect", {"logs": faulty}), 422)
    places = [item["loc"] for item in body["detail"]]
    if "code" not in body or not all(1 in place for place in places):
        raise Broken(f"422 says {str(body)[:200]}")
    return f"422 with the code {body['code']}"


def check_detect(deployment: Deployment) -> str:
    """POST /detect answers in the contract's fields; nothing is remembered."""
    need_model(deployment)
    now = time.time()
    logs = ordinary(20, 200, deployment.run, now) + burst(
        now, f"pipeline-test-{deployment.run}", 100
    )
    body = deployment.detect(logs, include_scores=True, update_state=False)
    missing = _DETECT_FIELDS - set(body)
    if missing or body["total_logs"] != len(logs) or len(body["scores"]) != len(logs):
        raise Broken(f"/detect lacks {sorted(missing)} or miscounts {len(logs)} logs")
    for anomaly in body["anomalies"]:
        if not _ANOMALY_FIELDS <= set(anomaly) or not -1 <= anomaly["anomaly_score"] < 0:
            raise Broken(f"not an anomaly of the contract: {str(anomaly)[:200]}")
    return f"{body['anomaly_count']} anomalies in {len(logs)} logs"


def check_memory(deployment: Deployment) -> str:
    """A score depends on what the user did before; `update_state: false` remembers nothing."""
    need_model(deployment)
    now, user = time.time(), f"pipeline-test-{deployment.run}-memory"
    probe = [one_log(now + 31, user, "/api/orders/9301", status_code=403)]
    look: dict[str, Any] = {"include_scores": True, "update_state": False}
    before = deployment.detect(probe, **look)["scores"]
    deployment.detect(burst(now, user, 300), update_state=False)
    if deployment.detect(probe, **look)["scores"] != before:
        raise Broken("update_state: false was remembered")
    deployment.detect(burst(now, user, 300))
    after = deployment.detect(probe, **look)["scores"]
    if after == before:
        raise Broken("300 refused requests of a user left the score of the next one as it was")
    return f"score {before[0]:.3f} before, {after[0]:.3f} after 300 refused requests"


def check_retry(deployment: Deployment) -> str:
    """The same Idempotency-Key gets the first answer again."""
    need_model(deployment)
    logs = burst(time.time(), f"pipeline-test-{deployment.run}-retry", 50)
    first, second = (deployment.detect(logs, deployment.run, include_scores=True) for _ in range(2))
    if first != second:
        raise Broken("a retry with the same Idempotency-Key got another answer")
    return "a retry gets the first answer"


def check_load(deployment: Deployment) -> str:
    """POST /load-model brings back the model that was just trained."""
    if not deployment.train:
        raise Skipped("--train was not given: the served model is left alone")
    body = wanted(deployment.with_token.post("/load-model"), 200)
    return f"model {body['model_version']}"


def need_model(deployment: Deployment) -> None:
    """Skip where there is no model."""
    if not deployment.trained:
        raise Skipped("there is no model yet; --train would train one")


Checks = Mapping[str, Callable[[Deployment], str]]
CHECKS: Checks = {
    "health": check_health,
    "authentication": check_auth,
    "metrics": check_metrics,
    "status": check_status,
    "train": check_train,
    "faulty logs": check_errors,
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
    words: str


def results(deployment: Deployment, checks: Checks = CHECKS) -> Iterator[Result]:
    """Each check, in order. Without an answer to the first one the others are skipped."""
    alive = True
    for name, check in checks.items():
        started = time.perf_counter()
        try:
            if not alive:
                raise Skipped("no service answers")
            result, words = "passed", check(deployment)
        except Skipped as reason:
            result, words = "skipped", str(reason)
        except Broken as reason:
            result, words = "failed", str(reason)
        except httpx.HTTPError as error:
            result, words = "failed", f"{type(error).__name__}: {error}"
            alive = alive and name != "health"
        except (KeyError, TypeError, ValueError) as error:
            result, words = "failed", f"an answer out of shape: {error!r}"
        yield Result(name, result, time.perf_counter() - started, words)
