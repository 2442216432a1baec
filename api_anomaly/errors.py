"""Every named error of the service, with a stable code. Their HTTP status is in `http/problems.py`.

``str(error)`` is a sentence for the client: what happened and what to do. It never contains a
token, a user, an address or a part of a request's body.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

#: Faults of one body that an error lists.
MAX_LISTED_FAULTS = 100


class AnomalyError(Exception):
    """Base of all named errors. Clients and dashboards may rely on `code`."""

    code: ClassVar[str] = "internal_error"


class TooFewLogs(AnomalyError):
    """Training got fewer logs than it needs."""

    code = "too_few_logs"


class ModelNotTrained(AnomalyError):
    """No model is served yet, so logs cannot be scored."""

    code = "model_not_trained"


class TrainingInProgress(AnomalyError):
    """A training was requested while another one runs."""

    code = "training_in_progress"


class ModelNotFound(AnomalyError):
    """There is no model on disk."""

    code = "model_not_found"


class ModelNotTrusted(AnomalyError):
    """The model on disk has no valid signature. It was not unpickled."""

    code = "model_not_trusted"


class ModelIncompatible(AnomalyError):
    """The model on disk has the file format or the feature set of another release."""

    code = "model_incompatible"


class StorageFailed(AnomalyError):
    """A file could not be written: disk full, read-only, or no permission."""

    code = "storage_failed"


class SnapshotRejected(AnomalyError):
    """The memory snapshot on disk is damaged, has no valid signature, or another layout."""

    code = "snapshot_rejected"


class Unauthorized(AnomalyError):
    """No token, or an invalid one."""

    code = "unauthorized"


class Forbidden(AnomalyError):
    """The token is valid but lacks the scope of the endpoint."""

    code = "forbidden"


class TooManyAttempts(AnomalyError):
    """Too many invalid tokens came from one address."""

    code = "too_many_attempts"


class Overloaded(AnomalyError):
    """The request was rejected unprocessed because too much work is waiting."""

    code = "overloaded"


class BodyTooSlow(AnomalyError):
    """The body arrived too slowly."""

    code = "body_too_slow"


class BodyTooLarge(AnomalyError):
    """The body has more bytes than the setting allows."""

    code = "body_too_large"


class BatchTooLarge(AnomalyError):
    """The body has more logs or items than the setting allows."""

    code = "batch_too_large"


class EncodingUnknown(AnomalyError):
    """The Content-Encoding is not one of the known ones."""

    code = "unsupported_encoding"


class EncodingBroken(AnomalyError):
    """The body cannot be decompressed as its Content-Encoding says."""

    code = "broken_encoding"


class IdempotencyKeyReused(AnomalyError):
    """The Idempotency-Key was used with another body before."""

    code = "idempotency_key_reused"


class IdempotencyKeyInvalid(AnomalyError):
    """The Idempotency-Key is empty or too long."""

    code = "validation_error"


class Invalid(AnomalyError):
    """The body does not follow the schema. `items` are the first faults, `more` counts the rest."""

    code = "validation_error"

    def __init__(self, items: Sequence[dict[str, Any]], more: int = 0) -> None:
        super().__init__(f"{len(items) + more} faults in the body")
        self.items = items
        self.more = more


class AnomalyUnknown(Invalid):
    """Feedback on an anomaly that was never returned or is no longer remembered. `items` name the
    positions, not the ids: those are the client's."""

    code = "anomaly_unknown"

    def __init__(self, positions: Sequence[int]) -> None:
        message = "No such anomaly is remembered. Send its log instead."
        listed = [
            {"type": self.code, "loc": ["body", "items", i, "anomaly_id"], "msg": message}
            for i in positions[:MAX_LISTED_FAULTS]
        ]
        super().__init__(listed, max(0, len(positions) - MAX_LISTED_FAULTS))


class NothingReadable(AnomalyError):
    """No line of a body could be read as a log."""

    code = "nothing_readable"


class FormatUnknown(AnomalyError):
    """There is no log format of this name, or a directive cannot be read."""

    code = "format_unknown"


class FormatAmbiguous(AnomalyError):
    """Two log formats fit, and differ in what the logs say."""

    code = "format_ambiguous"


class EnvelopeInvalid(AnomalyError):
    """A body is not what the shippers' protocol of its address sends."""

    code = "envelope_invalid"


class TokenFileInvalid(AnomalyError):
    """The token file cannot be read or has an invalid line."""

    code = "token_file_invalid"
