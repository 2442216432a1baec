"""What Schemathesis cannot know: an idempotency key is used once, and which anomalies there are."""

import uuid

import schemathesis

_LOG = {"timestamp": 1_749_199_389, "user_id": "u", "endpoint": "/", "method": "GET"}


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Every call with a key that is valid gets one of its own, unless it repeats another call.

    A well-formed id of an anomaly that nobody returned is refused for a reason that no schema can
    tell (test_main.py has it), so the verdict is given on a log instead.
    """
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 255:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    body = case.body
    if case.path == "/feedback" and isinstance(body, dict) and isinstance(body.get("items"), list):
        case.body = body | {"items": [_on_a_log(item) for item in body["items"]]}


def _on_a_log(item):
    if not isinstance(item, dict) or item.get("log") is not None:
        return item
    name = item.get("anomaly_id")
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        return item
    others = {key: value for key, value in item.items() if key != "anomaly_id"}
    return others | {"log": _LOG | {"status_code": 200}}
