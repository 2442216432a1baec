"""The routes as a table, and the OpenAPI document made from it.

The routes take raw bytes, so FastAPI cannot see their bodies; the schemas are put into its document
here, from the same types that read and write the bytes.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.detector import MINIMUM_LOGS
from api_anomaly.http import responses as answers
from api_anomaly.http.handlers import feedback, routes
from api_anomaly.http.examples import BODIES, ERRORS
from api_anomaly.http.feedback_body import FeedbackBody
from api_anomaly.logs.schema import DetectBody, Log, TrainBody

_REF = "#/components/schemas/{model}"
_BEARER = {"type": "http", "scheme": "bearer"}
_STATUSES = {
    400: "The body cannot be inflated, there is no model yet, or this was not HTTP.",
    401: "No valid bearer token.",
    403: "The token lacks the scope that this needs.",
    404: "There is no model on disk.",
    408: "The body came too slowly.",
    409: "A training is running, or the model on disk is not to be trusted.",
    413: "Too many bytes, logs or verdicts.",
    415: "The Content-Encoding is not gzip.",
    422: "The body or a header does not follow the schema, or an anomaly is not remembered.",
    429: "Too many wrong tokens came from this address.",
    431: "The request's line and headers are too large.",
    500: "An unexpected error.",
    503: "The service is overloaded. Nothing was done; try again after `Retry-After` seconds.",
    507: "It could not be stored; what was served before still is.",
}


#: What any endpoint may answer; any but /health; any with a body; any that needs a token.
_ANY, _BUSY, _BODY, _GUARDED = (400, 431, 500), (503,), (408, 413, 415, 422), (401, 403, 429)


#: What one may want to ask next, by the path of what was answered.
_NEXT = {
    "/train": ("detect", "status", "load-model"),
    "/load-model": ("detect", "status"),
    "/detect": ("detect", "status", "metrics"),
}
_HEADERS = {
    401: "WWW-Authenticate",
    409: "Retry-After",
    415: "Accept-Encoding",
    429: "Retry-After",
    503: "Retry-After",
}


class Endpoint(NamedTuple):
    """One endpoint: how it is reached, what it takes and gives, and which errors of its own it may
    answer; `statuses` are all of them."""

    method: str
    path: str
    serve: Callable[[Request], Awaitable[Response]]
    answer: Any
    body: Any = None
    errors: tuple[int, ...] = ()
    guarded: bool = True

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every error that may be answered, ascending."""
        found = {*self.errors, *_ANY}
        found |= {*_BODY} if self.body is not None else set()
        found |= {*_BUSY} if self.path != "/health" else set()
        found |= {*_GUARDED} if self.guarded or self.path == "/metrics" else set()
        return tuple(sorted(found))


ENDPOINTS = (
    Endpoint("GET", "/health", routes.health, answers.Health, guarded=False),
    Endpoint("GET", "/metrics", routes.metrics, str, guarded=False),
    Endpoint(
        "POST",
        "/train",
        routes.train,
        answers.TrainAnswer,
        TrainBody[list[Log]],
        (409, 507),
    ),
    Endpoint(
        "POST",
        "/detect",
        routes.detect,
        answers.DetectAnswer,
        DetectBody[list[Log]],
    ),
    Endpoint(
        "POST",
        "/feedback",
        feedback.feedback,
        answers.FeedbackAnswer,
        FeedbackBody,
        (507,),
    ),
    Endpoint("GET", "/status", routes.status, answers.StatusAnswer),
    Endpoint("POST", "/load-model", routes.load_model, answers.LoadAnswer, errors=(404, 409)),
)


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`, which serves ENDPOINTS."""
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = made.setdefault("components", {})
    components["securitySchemes"] = {"bearer": _BEARER}
    schemas = components.setdefault("schemas", {})
    for endpoint in ENDPOINTS:
        operation = made["paths"][endpoint.path][endpoint.method.lower()]
        operation["operationId"] = endpoint.path.strip("/")
        operation["responses"] = _responses(endpoint, schemas)
        if endpoint.guarded:
            operation["security"] = [{"bearer": []}]
        elif endpoint.path == "/metrics":  # where METRICS_TOKEN is set
            operation["security"] = [{}, {"bearer": []}]
        if endpoint.body is not None:
            content = _json(
                _schema(endpoint.body, schemas, "validation"), BODIES.get(endpoint.path)
            )
            operation["requestBody"] = {"required": True, "content": content}
    schemas["TrainBody"]["properties"]["logs"]["minItems"] = MINIMUM_LOGS
    for path in ("/detect", "/feedback"):
        made["paths"][path]["post"].setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    return made


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A retry with the same key and body gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    if endpoint.answer is str:
        content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        content = _json(_schema(endpoint.answer, schemas, "serialization"))
    links = {name: {"operationId": name} for name in _NEXT.get(endpoint.path, ())}
    success = {"description": "Success.", "content": content} | ({"links": links} if links else {})
    responses: dict[str, Any] = {"200": success}
    for status in endpoint.statuses:
        shape = answers.RefusedBody if status == 422 else answers.ProblemResponse
        content = _json(_schema(shape, schemas, "serialization"), ERRORS.get(status))
        responses[str(status)] = {"description": _STATUSES[status], "content": content}
        if status in _HEADERS:
            responses[str(status)]["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return responses


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    media = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"application/json": media}


def _schema(shape: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """A reference to the schema of `shape`, which is put among the components with all it uses."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    schemas[schema["title"]] = schema
    return {"$ref": _REF.format(model=schema["title"])}
