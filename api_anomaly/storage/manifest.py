"""The manifest: what a kept model is, which bytes it consists of, and the signature over both.

One JSON object ``{"manifest": {...}, "signature": "<hex>"}``. The signature is HMAC-SHA256 over the
canonical JSON of the manifest (sorted keys, no spaces, ASCII), so a human may reformat the file but
not change a value. JSON cannot run code, so it is safe to parse before it is believed.
"""

import json
import platform
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from api_anomaly.errors import ModelIncompatible, ModelNotTrusted
from api_anomaly.storage.keys import SigningKeys

#: Number of the layout on disk; a release that changes it keeps reading the old ones or says
#: ModelIncompatible.
FORMAT = 1
_PURPOSE = "api-anomaly model manifest"
_DAMAGED = "The model's manifest is damaged. The model was not opened."
_LIBRARIES = ("joblib", "numba", "numpy", "scikit-learn")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a training measured, kept with its model. Accuracy, precision and recall are shares in
    [0, 1].
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
    verdicts_learnt: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """A kept model. `created` is ISO 8601 in UTC; `digests` maps each file's name to the SHA-256 of
    its bytes.
    """

    version: str
    created: str
    digests: dict[str, str]
    feature_schema: str
    facts: Facts
    libraries: dict[str, str]
    format: int = FORMAT


def libraries() -> dict[str, str]:
    """The versions of everything that shapes the pickled files: for a human who looks into an old
    model.
    """
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
    """The manifest out of signed bytes. Raises ModelNotTrusted, ModelIncompatible (signed, but
    another format).
    """
    fields, canonical, signature = _parsed(data)
    if not keys.verify(_PURPOSE, canonical, signature):
        raise ModelNotTrusted(
            "The model's signature does not verify: it was changed, or signed with another key."
        )
    if fields.get("format") != FORMAT:
        raise ModelIncompatible(
            "The model on disk has the format of another release. Call POST /train."
        )
    return Manifest(**(fields | {"facts": Facts(**fields["facts"])}))


def check_digest(manifest: Manifest, name: str, data: bytes) -> None:
    """Raises ModelNotTrusted unless `data` are the bytes that were signed as `name`."""
    if manifest.digests.get(name) != digest(data):
        raise ModelNotTrusted(f"{name} is not the file that was signed. It was not opened.")


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes, str]:
    """The unverified fields, their canonical bytes and the signature that came with them."""
    try:
        signed = json.loads(data)
        fields, signature = signed["manifest"], signed["signature"]
        canonical = _canonical(fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelNotTrusted(_DAMAGED) from error
    if not isinstance(fields, dict) or not isinstance(signature, str):
        raise ModelNotTrusted(_DAMAGED)
    return fields, canonical, signature
