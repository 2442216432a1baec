"""One row of the table of endpoints."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import (
    AnomalyError,
    BatchTooLarge,
    BodyTooLarge,
    BodyTooSlow,
    EncodingBroken,
    EncodingUnknown,
    Forbidden,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    Invalid,
    Overloaded,
    TooManyAttempts,
    Unauthorized,
)
from api_anomaly.http.state import HttpState

Handler = Callable[[Request, HttpState], Awaitable[Response]]
Errors = tuple[type[AnomalyError], ...]
#: Makes an error's response what the clients of an endpoint expect, out of the usual response.
Refuse = Callable[[Request, AnomalyError, Response], Response]
_AUTH: Final[Errors] = (Unauthorized, Forbidden, TooManyAttempts)
_BODY: Final[Errors] = (
    *(BodyTooSlow, BodyTooLarge, BatchTooLarge, EncodingUnknown, EncodingBroken, Invalid),
)
_IDEMPOTENCY: Final[Errors] = (IdempotencyKeyInvalid, IdempotencyKeyReused)


def usual(_request: Request, _error: AnomalyError, response: Response) -> Response:
    """The usual response to an error."""
    return response


class Endpoint(NamedTuple):
    """One endpoint. Its `path` may have parameters: `/elastic/{index}/_bulk`.

    `scope`: what the token must allow; None: no token. `response` and `request` are the types of
    the bodies (`str`: plain text, None: none); `media_types` are those of a body in another's form.
    `errors`: those besides the ones that `request`, `scope` and `idempotent` imply. `refuse`: how
    they look, `foreign_errors` if in another protocol's shape. `always_served`: not refused under
    overload. `next`: endpoints that clients usually call afterwards. `also`: methods that do the
    same. `any_slash`: a slash at the end of the path does not matter. `slashes`: parameters of the
    path may have slashes.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None
    response: Any
    request: Any = None
    errors: Errors = ()
    example: Any = None
    audited: bool = False
    idempotent: bool = False
    always_served: bool = False
    next: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    any_slash: bool = False
    slashes: bool = False
    refuse: Refuse = usual
    media_types: tuple[str, ...] = ()
    foreign_errors: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods."""
        return (self.method, *self.also)

    @property
    def success(self) -> int:
        """The status of a response without an error."""
        return 204 if self.response is None else 200

    @property
    def path_parameters(self) -> list[str]:
        """The names of the parameters in the path."""
        return re.findall(r"{(\w+)}", self.path)

    def id(self, method: str) -> str:
        """The id of an operation in the OpenAPI document: the path, and the method except GET and
        POST."""
        name = "-".join(re.findall(r"[\w-]+", self.path))
        return name if method in ("GET", "POST") else f"{name}-{method.lower()}"

    @property
    def description(self) -> str:
        """The handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "")

    @property
    def all_errors(self) -> Errors:
        """Every named error that a client may get."""
        return (
            *self.errors,
            *(_AUTH if self.scope is not None else ()),
            *(_BODY if self.request is not None or self.media_types else ()),
            *(_IDEMPOTENCY if self.idempotent else ()),
            *(() if self.always_served else (Overloaded,)),
        )
