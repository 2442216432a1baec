"""The OpenAPI document.

Handlers read raw bytes, so FastAPI cannot see their bodies; the operations are written here, from
the table of endpoints and the types that decode and describe the bodies.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api_anomaly.model.fit import MINIMUM_LOGS
from api_anomaly.http.auth.scopes import METRICS
from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.problems import PROBLEMS, PROTOCOL_PROBLEMS, example_of, shipper_status
from api_anomaly.http.responses import ProblemResponse, ValidationProblemResponse

_REF = "#/components/schemas/{model}"
_DESCRIPTIONS = {
    400: "The body cannot be decompressed, there is no model yet, or the request is not HTTP.",
    401: "No valid bearer token.",
    403: "The token lacks the scope that this needs.",
    404: "There is no model on disk.",
    408: "The body arrived too slowly.",
    409: "A training is running, or the model on disk cannot be trusted or used.",
    413: "Too many bytes, logs or items.",
    415: "The Content-Encoding is not a known one.",
    422: "The body or a header does not follow the schema, or an anomaly is not remembered.",
    429: "Too many wrong tokens came from this address.",
    431: "The request line and headers are too large.",
    500: "An unexpected error.",
    503: "Overloaded. The request was not processed; retry after `Retry-After` seconds.",
    507: "The result could not be stored; what was served before still is.",
}
_HEADERS = {
    401: "WWW-Authenticate",
    409: "Retry-After",
    415: "Accept-Encoding",
    429: "Retry-After",
    503: "Retry-After",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A retry with the same key and body gets the first response.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def openapi_document(app: FastAPI, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document of `app`, which serves `endpoints`."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=()
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    schemas = components.setdefault("schemas", {})
    for endpoint in endpoints:
        for method in endpoint.methods:
            path = document["paths"].setdefault(endpoint.path, {})
            path[method.lower()] = _operation(endpoint, method, schemas)
    train = next(schema for schema in schemas.values() if schema.get("title") == "TrainBody")
    train["properties"]["logs"]["minItems"] = MINIMUM_LOGS
    return document


def error_statuses(endpoint: Endpoint) -> dict[int, Any]:
    """Every error status that `endpoint` may answer, ascending, with an example body."""
    examples: dict[int, Any] = {}
    for error in endpoint.all_errors:
        status = PROBLEMS[error].status
        examples.setdefault(
            shipper_status(status) if endpoint.foreign_errors else status, example_of(error)
        )
    always = {status: PROTOCOL_PROBLEMS[status] for status in (400, 431, 500)}
    return dict(sorted((always | examples).items()))


def _operation(endpoint: Endpoint, method: str, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.id(method),
        "summary": endpoint.handler.__name__.replace("_", " ").title(),
        "description": endpoint.description,
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.scope is not None:
        # /metrics needs a token only where METRICS_TOKEN is set.
        optional: list[dict[str, Any]] = [{}] if endpoint.scope == METRICS else []
        operation["security"] = [*optional, {"bearer": []}]
    if endpoint.request is not None:
        content = _json(_schema(endpoint.request, schemas, "validation"), endpoint.example)
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.media_types:
        content = {media_type: {"schema": {}} for media_type in endpoint.media_types}
        operation["requestBody"] = {"required": True, "content": content}
    parameters = [_path_parameter(name) for name in endpoint.path_parameters]
    if endpoint.idempotent:
        parameters.append(_IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    return operation


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Success."}
    if endpoint.response is str:
        success["content"] = {"text/plain": {"schema": {"type": "string"}}}
    elif endpoint.response is not None:
        success["content"] = _json(_schema(endpoint.response, schemas, "serialization"))
    if endpoint.next:
        success["links"] = {name: {"operationId": name} for name in endpoint.next}
    responses = {str(endpoint.success): success}
    for status, example in error_statuses(endpoint).items():
        responses[str(status)] = _error(endpoint, status, example, schemas)
    return responses


def _error(
    endpoint: Endpoint, status: int, example: Any, schemas: dict[str, Any]
) -> dict[str, Any]:
    error: dict[str, Any] = {"description": _DESCRIPTIONS[status]}
    if not endpoint.foreign_errors:
        shape = ValidationProblemResponse if status == 422 else ProblemResponse
        error["content"] = _json(_schema(shape, schemas, "serialization"), example)
    if status in _HEADERS:
        error["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return error


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    media = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"application/json": media}


def _schema(shape: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """A reference to the schema of the type `shape`, which is added to `schemas` with all the
    schemas it uses."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if "title" not in schema:  # a union of types
        return schema
    schemas[schema["title"]] = schema
    return {"$ref": _REF.format(model=schema["title"])}
