"""The endpoint for verdicts, and what /status says of them."""

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.admission import AdmissionTicket
from api_anomaly.http.responses import FeedbackAnswer, FeedbackItemAnswer, FeedbackStatus
from api_anomaly.http.body import BodyLimits, read_body
from api_anomaly.http.feedback_body import FeedbackRequest, Verdict
from api_anomaly.runtime.label_store import LabelCounts
from api_anomaly.http.state import HttpState, authorized_state
from api_anomaly.runtime.idempotency import owned_key, retry_key
from api_anomaly.runtime.feedback import FeedbackResult, FeedbackService
from api_anomaly.runtime.threads import in_thread

_NAMES: dict[bool, Verdict] = {False: "false_positive", True: "true_positive"}
_DAY = 86_400.0


async def feedback(request: Request) -> Response:
    """Tell whether anomalies, or other logs, were attacks. Takes effect before it is answered, is
    on disk by then, and lasts over restarts and trainings until it expires. All items are taken or
    none. With an `Idempotency-Key` a retry gets the first answer."""
    parts = authorized_state(request)
    headers, settings = request.scope["headers"], parts.app.settings
    given = retry_key(headers)
    with parts.admission.visit() as visit:
        limits = BodyLimits(settings.max_body_bytes, settings.body_seconds, visit.hold)
        body = await read_body(headers, request.receive, limits)
        taught = partial(_taught, parts, visit, body)
        if given is None:
            return Response(await taught(), media_type="application/json")
        # The same key on another endpoint is another request.
        key = owned_key(request.scope["state"]["caller"].owner, b"feedback\0" + given)
        answer, again = await parts.app.idempotency.answer(key, body, taught)
    replayed = {"idempotency-replayed": "true"} if again else None
    return Response(answer, headers=replayed, media_type="application/json")


async def _taught(parts: HttpState, visit: AdmissionTicket, body: bytes) -> bytes:
    visit.queue(len(body))
    return await _given(parts, await in_thread(parts.feedback_reader.read, body))


async def _given(parts: HttpState, judged: FeedbackRequest) -> bytes:
    taught = await parts.app.feedback.give(judged)
    return msgspec.json.encode(_answer(taught, judged, parts.app.settings.feedback_days))


def _answer(taught: FeedbackResult, judged: FeedbackRequest, days: float) -> FeedbackAnswer:
    version = taught.served.manifest.version
    items = [_item(taught, i) for i in range(len(taught.labels))]
    changes = Counter(map(_change, items))
    other = judged.model_version not in (None, version)
    about = f" The anomalies were another model's; {version} hears the verdicts." if other else ""
    return {
        "status": "success",
        "message": f"{len(items)} verdicts are kept and in force.{about}",
        "effective_from": _moment(taught.given),
        "expires": _moment(taught.given + days * _DAY),
        "model_version": version,
        "judged_model_version": judged.model_version,
        "counted": {
            "new": changes["new"],
            "changed": changes["changed"],
            "repeated": changes["repeated"],
        },
        "active": _active(taught.counted),
        "items": items,
    }


def _item(taught: FeedbackResult, i: int) -> FeedbackItemAnswer:
    threshold = taught.served.detector.model.threshold
    label, earlier = taught.labels[i], taught.earlier[i]
    before, after = float(taught.before[i]), float(taught.after[i])
    return {
        "anomaly_id": label["anomaly"].decode(),
        "verdict": _NAMES[bool(label["hostile"])],
        "was": None if earlier is None else _NAMES[earlier],
        "score_before": before,
        "anomaly_score": after,
        "anomaly_before": before < threshold,
        "anomaly": after < threshold,
    }


def _change(item: FeedbackItemAnswer) -> Literal["new", "changed", "repeated"]:
    if item["was"] is None:
        return "new"
    return "repeated" if item["was"] == item["verdict"] else "changed"


def _active(counted: LabelCounts) -> dict[Verdict, int]:
    return {"false_positive": counted.false_positives, "true_positive": counted.true_positives}


def status_of(feedback_service: FeedbackService) -> FeedbackStatus:
    """What /status says of verdicts."""
    counted = feedback_service.book.counted()
    return {
        "active": _active(counted),
        "expired": counted.expired,
        "replaced": counted.replaced,
        "incompatible": counted.other,
        "users": counted.users,
        "trained_on": feedback_service.trained_on,
        "last_change": None if counted.last is None else _moment(counted.last),
        "raised": feedback_service.raised,
        "quieted": feedback_service.quieted,
        "anomalies_remembered": len(feedback_service.anomalies),
    }


def _moment(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC; what lies beyond the calendar is its last second."""
    latest = datetime.max.replace(microsecond=0, tzinfo=UTC)
    return datetime.fromtimestamp(min(seconds, latest.timestamp()), UTC).isoformat()
