"""What can go wrong, as named errors with stable codes. Knows no HTTP: the service's one table
gives the status.

``str(error)`` is a sentence for the client: what happened and what to do. It never holds a token, a
user, an address or a part of a request's body.
"""

from typing import ClassVar


class AnomalyError(Exception):
    """Base of every error with a name. `code` is stable: clients and dashboards may rely on it."""

    code: ClassVar[str] = "internal_error"


class TooFewLogs(AnomalyError):
    """Training needs more logs than it was given."""

    code = "too_few_logs"


class ModelNotTrained(AnomalyError):
    """Logs cannot be scored because no model is served yet."""

    code = "model_not_trained"


class TrainingInProgress(AnomalyError):
    """A second training was asked for while one runs."""

    code = "training_in_progress"


class ModelNotFound(AnomalyError):
    """There is no model on disk."""

    code = "model_not_found"


class ModelNotTrusted(AnomalyError):
    """The model on disk is unsigned, tampered with, truncated or foreign. It was not unpickled."""

    code = "model_not_trusted"


class ModelIncompatible(AnomalyError):
    """The model on disk has the format or the features of another release."""

    code = "model_incompatible"


class StorageFailed(AnomalyError):
    """Something could not be written: disk full, read-only, not permitted."""

    code = "storage_failed"


class SnapshotRejected(AnomalyError):
    """The memory snapshot on disk is damaged, not ours, or of another layout."""

    code = "snapshot_rejected"
