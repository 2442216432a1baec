"""Hooks for what the schema cannot express: an idempotency key is used once, and an anomaly id has
to be one that was returned."""

import uuid

import schemathesis

_LOG = {"timestamp": 1_749_199_389, "user_id": "u", "endpoint": "/", "method": "GET"}


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Give every call with a valid idempotency key a new key.

    An anomaly id that was never returned is rejected (tested in test_main.py), so the verdict is
    given on a log instead.
    """
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 255:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    body = case.body
    # A history can be too short to train on, and `skip` takes what the schema forbids.
    if case.path == "/train" and isinstance(body, dict) and "source" in body:
        case.body = body = {"logs": [_LOG | {"status_code": 200}] * 10}
    if case.path == "/detect" and isinstance(body, dict) and body.get("on_invalid") == "skip":
        case.body = body = body | {"on_invalid": "reject"}
    if case.path == "/feedback" and isinstance(body, dict) and isinstance(body.get("items"), list):
        case.body = body | {"items": [_with_log(item) for item in body["items"]]}


def _with_log(item):
    if not isinstance(item, dict) or item.get("log") is not None:
        return item
    name = item.get("anomaly_id")
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        return item
    others = {key: value for key, value in item.items() if key != "anomaly_id"}
    return others | {"log": _LOG | {"status_code": 200}}
