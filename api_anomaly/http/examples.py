"""The examples in the OpenAPI document: requests that are taken, and errors as they look."""

from typing import Any, Final

_LOG: Final[dict[str, Any]] = {
    "timestamp": "2025-06-06T08:43:09Z",
    "user_id": "usr_489562",
    "endpoint": "/api/v1/users/18834",
    "method": "GET",
    "status_code": 404,
    "response_time": 0.031,
    "ip_address": "203.0.113.9",
    "user_agent": "python-requests/2.31",
    "response_size": 120,
}

#: A body for each endpoint that takes one, by path.
BODIES: Final[dict[str, Any]] = {
    "/detect": {"logs": [_LOG], "include_scores": True},
    "/train": {
        "logs": [_LOG | {"timestamp": 1_749_199_389 + 7 * number} for number in range(10)],
        "test_size": 0.2,
    },
    "/feedback": {
        "items": [
            {"anomaly_id": "5f0c1d2e3a4b596877869504", "verdict": "false_positive"},
            {"log": _LOG, "verdict": "true_positive"},
        ]
    },
}

#: One error for each status, as its answer looks.
ERRORS: Final[dict[int, Any]] = {
    400: {"detail": "Model not trained. Call POST /train first.", "code": "model_not_trained"},
    401: {
        "detail": "A valid bearer token is needed: Authorization: Bearer <token>.",
        "code": "unauthorized",
    },
    403: {
        "detail": "This token is not for that: it lacks the scope 'train'.",
        "code": "forbidden",
    },
    404: {
        "detail": "There is no model on disk. Call POST /train first.",
        "code": "model_not_found",
    },
    408: {"detail": "The body came too slowly.", "code": "body_too_slow"},
    409: {
        "detail": "A training is running. Ask again when it has ended.",
        "code": "training_in_progress",
    },
    413: {"detail": "At most 100000 logs fit into one request.", "code": "batch_too_large"},
    415: {"detail": "Only gzip is known as Content-Encoding.", "code": "unsupported_encoding"},
    422: {
        "detail": [
            {
                "type": "int_type",
                "loc": ["body", "logs", 7, "status_code"],
                "msg": "Input should be a valid integer",
            }
        ],
        "code": "validation_error",
    },
    429: {
        "detail": "Too many wrong tokens came from this address. Wait a minute.",
        "code": "too_many_attempts",
    },
    431: {"detail": "The request's line and headers are too large.", "code": "headers_too_large"},
    503: {
        "detail": "The service has as much to do as it can. Nothing was done; try again.",
        "code": "overloaded",
    },
    507: {
        "detail": "The model could not be stored: the disk is full.",
        "code": "storage_failed",
    },
}
