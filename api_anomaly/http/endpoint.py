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

Errors = tuple[type[AnomalyError], ...]
#: Makes an error's response what the clients of an endpoint expect, out of the usual response.
Refuse = Callable[[Request, AnomalyError, Response], Response]
_AUTH: Final[Errors] = (Unauthorized, Forbidden, TooManyAttempts)
_BODY: Final[Errors] = (
    *(BodyTooSlow, BodyTooLarge, BatchTooLarge, EncodingUnknown, EncodingBroken, Invalid),
)
_IDEMPOTENCY: Final[Errors] = (IdempotencyKeyInvalid, IdempotencyKeyReused)


def _usual(_request: Request, _error: AnomalyError, response: Response) -> Response:
    return response


class Endpoint(NamedTuple):
    """One endpoint. Its `path` may have parameters: `/elastic/{index}/_bulk`.

    `scope`: what the token must allow; None: no token. `response` and `request` are the types of
    the bodies (`str`: plain text). `errors`: those besides the ones that `request`, `scope` and
    `idempotent` imply. `always_served`: not refused under overload. `next`: endpoints that clients
    usually call afterwards. `also`: methods that do the same. `any_slash`: a slash at the end
    of the path does not matter. `refuse`: how its errors look.
    """

    method: str
    path: str
    handler: Callable[[Request, HttpState], Awaitable[Response]]
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
    refuse: Refuse = _usual

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods."""
        return (self.method, *self.also)

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
            *(_BODY if self.request is not None else ()),
            *(_IDEMPOTENCY if self.idempotent else ()),
            *(() if self.always_served else (Overloaded,)),
        )
