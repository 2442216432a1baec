"""What POST /detect and POST /feedback share: admission, the body, and idempotent retries."""

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import IdempotencyKeyInvalid
from api_anomaly.http.body import BodyLimits, read_body
from api_anomaly.http.state import HttpState
from api_anomaly.runtime.idempotency import NO_RETRY, Retry, retry_of

#: draft-ietf-httpapi-idempotency-key-header proposes UUIDs.
_MAX_KEY_CHARACTERS = 255
#: Computes the response body from the request body and what identifies the request.
Process = Callable[[HttpState, bytes, Retry], Awaitable[bytes]]


async def respond(
    request: Request, state: HttpState, process: Process, key_prefix: bytes = b""
) -> Response:
    """The response that `process` makes of the body; to a retry with the same Idempotency-Key the
    first response. `key_prefix` separates the keys of endpoints.

    Raises Overloaded, IdempotencyKeyInvalid, IdempotencyKeyReused, what `read_body` raises and
    what `process` raises.
    """
    headers, settings = request.scope["headers"], state.app.settings
    key = idempotency_key(headers)
    with state.admission.ticket() as ticket:
        limits = BodyLimits(settings.max_body_bytes, settings.body_seconds, ticket.hold)
        body = await read_body(headers, request.receive, limits)

        async def admitted(retry: Retry = NO_RETRY) -> bytes:
            ticket.queue(len(body))
            return await process(state, body, retry)

        if key is None:
            return Response(await admitted(), media_type="application/json")
        owner = request.scope["state"]["caller"].owner
        retry = await retry_of(owner, key_prefix + key, body)
        content, replayed = await state.app.idempotency.respond(retry, lambda: admitted(retry))
    extra_headers = {"idempotency-replayed": "true"} if replayed else None
    return Response(content, headers=extra_headers, media_type="application/json")


def idempotency_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The Idempotency-Key, if there is one. Raises IdempotencyKeyInvalid."""
    for name, value in headers:
        if name == b"idempotency-key":
            if not 1 <= len(value) <= _MAX_KEY_CHARACTERS:
                raise IdempotencyKeyInvalid(f"A key has 1 to {_MAX_KEY_CHARACTERS} characters.")
            return value
    return None
