"""Questions that senders of logs ask before the first log. None needs a token."""

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api_anomaly.http.state import HttpState

#: Any service of Fastly: whose logs are taken is up to the token they come with.
_ANY_SERVICE: Final = "*\n"


async def fastly_challenge(_request: Request, _state: HttpState) -> Response:
    """Agree to get logs from Fastly, as its HTTPS endpoints must."""
    return PlainTextResponse(_ANY_SERVICE)


async def webhook_handshake(request: Request, _state: HttpState) -> Response:
    """Agree to get CloudEvents by webhook: the handshake of their web hooks."""
    headers = {"Allow": "POST"}
    origin = request.headers.get("webhook-request-origin")
    if origin:
        headers |= {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}
    return Response(status_code=204, headers=headers)
