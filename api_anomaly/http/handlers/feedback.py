"""POST /feedback."""

from collections import Counter
from datetime import UTC, datetime
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.feedback.decode import FeedbackRequest
from api_anomaly.http.handlers.batch import respond
from api_anomaly.http.responses import FeedbackItemResponse, FeedbackResponse, VerdictName
from api_anomaly.http.state import HttpState
from api_anomaly.runtime.idempotency import Retry
from api_anomaly.runtime.feedback import FeedbackResult
from api_anomaly.runtime.label_store import LabelCounts
from api_anomaly.runtime.threads import in_thread

#: By whether the log is an attack.
_VERDICT_NAMES: dict[bool, VerdictName] = {False: "false_positive", True: "true_positive"}
_DAY_SECONDS = 86_400.0


async def feedback(request: Request, state: HttpState) -> Response:
    """Say whether anomalies, or other logs, were attacks. The verdicts are on disk and in effect
    when the request is answered, and stay so over restarts and trainings until they expire. Either
    all items are taken or none. A retry with the same `Idempotency-Key` gets the first
    response."""
    return await respond(request, state, _take, key_prefix=b"feedback\0")


async def _take(state: HttpState, body: bytes, _retry: Retry) -> bytes:
    verdicts = await in_thread(state.feedback_reader.read, body)
    result = await state.app.feedback.give(verdicts)
    return msgspec.json.encode(_response(result, verdicts, state.app.settings.feedback_days))


def _response(result: FeedbackResult, verdicts: FeedbackRequest, days: float) -> FeedbackResponse:
    version = result.served.version
    items = [_item(result, i) for i in range(len(result.labels))]
    changes = Counter(map(_change, items))
    other = verdicts.model_version not in (None, version)
    about = f" The anomalies were another model's; they now apply to {version}." if other else ""
    return {
        "status": "success",
        "message": f"{len(items)} verdicts are kept and in force.{about}",
        "effective_from": iso_time(result.given),
        "expires": iso_time(result.given + days * _DAY_SECONDS),
        "model_version": version,
        "judged_model_version": verdicts.model_version,
        "counted": {
            "new": changes["new"],
            "changed": changes["changed"],
            "repeated": changes["repeated"],
        },
        "active": active_verdicts(result.counts),
        "items": items,
    }


def _item(result: FeedbackResult, i: int) -> FeedbackItemResponse:
    threshold = result.served.detector.model.threshold
    label, replaced = result.labels[i], result.replaced[i]
    before, after = float(result.scores_before[i]), float(result.scores_after[i])
    return {
        "anomaly_id": label["anomaly"].decode(),
        "verdict": _VERDICT_NAMES[bool(label["hostile"])],
        "was": None if replaced is None else _VERDICT_NAMES[replaced],
        "score_before": before,
        "anomaly_score": after,
        "anomaly_before": before < threshold,
        "anomaly": after < threshold,
    }


def _change(item: FeedbackItemResponse) -> Literal["new", "changed", "repeated"]:
    if item["was"] is None:
        return "new"
    return "repeated" if item["was"] == item["verdict"] else "changed"


def active_verdicts(counts: LabelCounts) -> dict[VerdictName, int]:
    """The numbers of verdicts in effect."""
    return {"false_positive": counts.false_positives, "true_positive": counts.true_positives}


def iso_time(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC; times after the year 9999 become its last second."""
    latest = datetime.max.replace(microsecond=0, tzinfo=UTC)
    return datetime.fromtimestamp(min(seconds, latest.timestamp()), UTC).isoformat()
