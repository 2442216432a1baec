"""POST /detect."""

import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.handlers.batch import respond
from api_anomaly.http.state import HttpState
from api_anomaly.logs.decode import DetectRequest
from api_anomaly.runtime.detect_response import encode_response
from api_anomaly.runtime.idempotency import Retry
from api_anomaly.runtime.state import AppState
from api_anomaly.runtime.threads import in_thread

#: Typical bytes of a log in JSON: the size of a body is an estimate of the time to decode it.
_LOG_BYTES = 400
#: Seconds that a small batch can take on the event loop. A longer measured time includes waiting.
_MAX_INLINE_SECONDS = 0.02


async def detect(request: Request, state: HttpState) -> Response:
    """Score a batch of logs against what their users, addresses and endpoints did before, and
    remember it. A retry with the same `Idempotency-Key` gets the first response; its logs are not
    remembered again."""
    caller = request.scope["state"]["caller"].id
    return await respond(request, state, partial(_decode_and_score, caller))


async def _decode_and_score(caller: str, state: HttpState, body: bytes, retry: Retry) -> bytes:
    """A small batch is processed on the event loop, a large one in a thread."""
    app = state.app
    if len(body) > app.settings.inline_logs * _LOG_BYTES:
        return await _score(app, await in_thread(app.decoder.decode_detect, body), retry, caller)
    await state.scheduler.wait_turn()
    started = time.perf_counter()
    try:
        return await _score(app, app.decoder.decode_detect(body), retry, caller)
    finally:
        state.scheduler.finished(min(time.perf_counter() - started, _MAX_INLINE_SECONDS))


async def _score(app: AppState, request: DetectRequest, retry: Retry, caller: str) -> bytes:
    result = await app.detection.detect(request, retry, caller)
    encode = partial(encode_response, request.logs, result, request.include_scores, request.skipped)
    # Most responses are short even for a large batch; a thread would take longer than encoding.
    everything = request.include_scores or result.fired is not None
    entries = len(request.logs) if everything else len(result.detections.anomalies)
    entries += len(request.skipped.invalid) if request.skipped else 0
    return encode() if entries <= app.settings.inline_logs else await in_thread(encode)
