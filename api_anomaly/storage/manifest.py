"""The manifest of a stored model: its description, the digests of its files, and a signature.

One JSON object ``{"manifest": {...}, "signature": "<hex>"}``. The signature is HMAC-SHA256 over the
canonical JSON of the manifest (sorted keys, no spaces, ASCII), so the file may be reformatted but
no value changed. JSON cannot run code, so it is safe to parse before it is verified.
"""

import json
import platform
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from api_anomaly.errors import ModelIncompatible, ModelNotTrusted
from api_anomaly.storage.keys import SigningKeys

#: Number of the layout on disk. A release that changes it reads the old ones or raises
#: ModelIncompatible.
FORMAT = 1
_PURPOSE = "api-anomaly model manifest"
_DAMAGED = "The model's manifest is damaged. The model was not opened."
_LIBRARIES = ("joblib", "numba", "numpy", "scikit-learn")


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What was measured in a training. Accuracy, precision and recall are shares in [0, 1] of the
    held-out logs; `threshold` is on the scale of `anomaly_score`; `training_labels` is the number
    of verdicts learned from.
    """

    training_samples: int
    train_anomalies: int
    test_anomalies: int
    accuracy: float
    held_out_precision: float | None
    held_out_recall: float | None
    threshold: float
    feature_count: int
    alert_budget: float
    duration_seconds: float
    training_labels: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """A stored model. `created` is ISO 8601 in UTC; `digests` maps file names to the SHA-256 of
    their bytes.
    """

    version: str
    created: str
    digests: dict[str, str]
    feature_schema: str
    facts: TrainingFacts
    libraries: dict[str, str]
    format: int = FORMAT


def libraries() -> dict[str, str]:
    """Versions of what determines the pickled files, for whoever examines an old model."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def digest(data: bytes) -> str:
    """SHA-256, 64 hex digits."""
    return sha256(data).hexdigest()


def write_manifest(manifest: Manifest, keys: SigningKeys) -> bytes:
    """The signed manifest as bytes."""
    fields = asdict(manifest)
    signed = {"manifest": fields, "signature": keys.sign(_PURPOSE, _canonical(fields))}
    return json.dumps(signed, indent=2, allow_nan=False).encode() + b"\n"


def read_manifest(data: bytes, keys: SigningKeys) -> Manifest:
    """Verify and decode a manifest. Raises ModelNotTrusted, and ModelIncompatible if it is signed
    but of another format.
    """
    fields, canonical, signature = _parse(data)
    if not keys.verify(_PURPOSE, canonical, signature):
        raise ModelNotTrusted(
            "The model's signature does not verify: it was changed, or signed with another key."
        )
    try:
        manifest = Manifest(**(fields | {"facts": TrainingFacts(**fields["facts"])}))
    except (KeyError, TypeError):
        manifest = None
    if manifest is None or manifest.format != FORMAT:
        raise ModelIncompatible(
            "The model on disk has the format of another release. Call POST /train."
        )
    return manifest


def check_digest(manifest: Manifest, name: str, data: bytes) -> None:
    """Raise ModelNotTrusted unless `data` are the bytes that were signed as `name`."""
    if manifest.digests.get(name) != digest(data):
        raise ModelNotTrusted(f"{name} is not the file that was signed. It was not opened.")


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _parse(data: bytes) -> tuple[dict[str, Any], bytes, str]:
    """The unverified fields, their canonical bytes and their signature."""
    try:
        signed = json.loads(data)
        fields, signature = signed["manifest"], signed["signature"]
        canonical = _canonical(fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelNotTrusted(_DAMAGED) from error
    if not isinstance(fields, dict) or not isinstance(signature, str):
        raise ModelNotTrusted(_DAMAGED)
    return fields, canonical, signature
