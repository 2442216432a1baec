"""What Schemathesis cannot know: an idempotency key is used once."""

import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Every call with a key that is valid gets one of its own, unless it repeats another call."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 1 <= len(key) <= 255:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
