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

from api_anomaly.service import answers, feedback, routes
from api_anomaly.service.judged import FeedbackBody
from api_anomaly.service.schemas import DetectBody, Log, TrainBody

_REF = "#/components/schemas/{model}"
_BEARER = {"type": "http", "scheme": "bearer"}
_STATUSES = {
    400: "The body cannot be inflated, or there is no model yet.",
    401: "No valid bearer token.",
    404: "There is no model on disk.",
    409: "A training is running, or the model on disk is not to be trusted.",
    413: "Too many bytes, logs or verdicts.",
    415: "The Content-Encoding is not gzip.",
    422: "The body does not follow the schema, or names an anomaly that is not remembered.",
    500: "An unexpected error.",
    507: "It could not be stored; what was served before still is.",
}


class Endpoint(NamedTuple):
    """One endpoint: how it is reached, what it takes and gives, and which errors it may answer."""

    method: str
    path: str
    serve: Callable[[Request], Awaitable[Response]]
    answer: Any
    body: Any = None
    errors: tuple[int, ...] = ()
    guarded: bool = True


ENDPOINTS = (
    Endpoint("GET", "/health", routes.health, answers.Health, errors=(500,), guarded=False),
    Endpoint("GET", "/metrics", routes.metrics, str, errors=(500,), guarded=False),
    Endpoint(
        "POST",
        "/train",
        routes.train,
        answers.TrainAnswer,
        TrainBody[list[Log]],
        (400, 401, 409, 413, 415, 422, 500, 507),
    ),
    Endpoint(
        "POST",
        "/detect",
        routes.detect,
        answers.DetectAnswer,
        DetectBody[list[Log]],
        (400, 401, 413, 415, 422, 500),
    ),
    Endpoint(
        "POST",
        "/feedback",
        feedback.feedback,
        answers.FeedbackAnswer,
        FeedbackBody,
        (400, 401, 413, 415, 422, 500, 507),
    ),
    Endpoint("GET", "/status", routes.status, answers.StatusAnswer, errors=(401, 500)),
    Endpoint(
        "POST",
        "/load-model",
        routes.load_model,
        answers.LoadAnswer,
        errors=(401, 404, 409, 500),
    ),
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
        operation["responses"] = _responses(endpoint, schemas)
        if endpoint.guarded:
            operation["security"] = [{"bearer": []}]
        if endpoint.body is not None:
            content = _json(_schema(endpoint.body, schemas, "validation"))
            operation["requestBody"] = {"required": True, "content": content}
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
    responses = {"200": {"description": "Success.", "content": content}}
    for status in endpoint.errors:
        shape = answers.RefusedBody if status == 422 else answers.Refused
        content = _json(_schema(shape, schemas, "serialization"))
        responses[str(status)] = {"description": _STATUSES[status], "content": content}
    return responses


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema(shape: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """A reference to the schema of `shape`, which is put among the components with all it uses."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    schemas[schema["title"]] = schema
    return {"$ref": _REF.format(model=schema["title"])}
