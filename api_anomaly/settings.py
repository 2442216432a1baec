"""Every setting, as a manual: what it does, its unit, and why it starts as it does.

``Settings.from_environ(os.environ)`` reads them once, in main; everything else gets them passed in.
An empty variable counts as unset. ``python -m api_anomaly.settings`` prints the README's
table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from api_anomaly.rules import RuleSet
from api_anomaly.environment import (
    Secrets,
    SettingsError,
    between,
    level,
    one_worker,
    parsed,
    rules_in,
    setting,
    whole,
)
from api_anomaly.settings_server import DoorSettings

#: The sample value of the documents: it works, with a warning.
SAMPLE_TOKEN = "your-secret-token"  # nosec B105  # published on purpose
#: Names that are taken beside the model.
RESERVED = frozenset(
    ("current", "versions", ".lock", "memory.snapshot", ".memory.snapshot.part")
    + ("auth_token", "signing_key", "feedback", ".feedback.part", "feedback.damaged")
    + (".feedback.damaged.part",)
    + ("answers.db", "answers.db-wal", "answers.db-shm")
)
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(DoorSettings):
    """All settings, by group. Read them with `from_environ`, or name them in a test."""

    model_path: Path = setting(
        "MODEL_PATH",
        Path("models/isolation_forest.pkl"),
        Path,
        "Model",
        "The forest. Its folder also keeps the versions, the memory and the secrets made here.",
    )
    scaler_path: Path = setting(
        "SCALER_PATH",
        Path("models/scaler.pkl"),
        Path,
        "Model",
        "The scaler that belongs to the forest.",
    )
    model_versions_kept: int = setting(
        "MODEL_VERSIONS_KEPT",
        5,
        whole(1, 1_000),
        "Model",
        "Trained versions that stay on disk, the served one always: enough to go back some days.",
    )
    model_signing_key: tuple[str, ...] = setting(
        "MODEL_SIGNING_KEY",
        (),
        Secrets(16),
        "Model",
        "Keys of the models' signatures, comma-separated, 16 characters or more each: the first"
        " signs, all verify.",
        "made at first start, kept in `signing_key` beside the model",
    )

    alert_budget: float = setting(
        "ALERT_BUDGET",
        0.001,
        between(0, 0.5),
        "Detection",
        "Share of ordinary requests that may be flagged: one false alarm in a thousand.",
    )
    forest_trees: int = setting(
        "FOREST_TREES",
        100,
        whole(1, 10_000),
        "Detection",
        "Trees in the forest. 100 is the paper's number; time grows in proportion.",
    )
    seed: int = setting(
        "SEED",
        0,
        whole(0, 2**32 - 1),
        "Detection",
        "Seed of the training: the same logs and seed give the same model.",
    )
    training_threads: int = setting(
        "TRAINING_THREADS",
        1,
        whole(1, 64),
        "Detection",
        "Threads of a training, for the same model sooner; each takes a core from the requests"
        " meanwhile.",
    )
    memory_entities: int = setting(
        "MEMORY_ENTITIES",
        1_000_000,
        whole(16, 100_000_000),
        "Detection",
        "Users and addresses that are remembered; the least recently seen make room.",
    )
    rules_file: RuleSet | None = setting(
        "RULES_FILE",
        None,
        rules_in,
        "Detection",
        "YAML of the static rules that `include_rules` tells of, read at the start.",
        "`api_anomaly/rules/default.yaml`",
    )
    snapshot_seconds: float = setting(
        "SNAPSHOT_SECONDS",
        60.0,
        between(0, 86_401),
        "Detection",
        "Seconds between snapshots of the memory: as much is forgotten when the process is killed.",
    )
    inline_logs: int = setting(
        "INLINE_LOGS",
        256,
        whole(0, 10_000),
        "Detection",
        "Batches up to so many logs are scored on the event loop, where they take a millisecond;"
        " larger ones go to a thread.",
    )

    feedback_days: float = setting(
        "FEEDBACK_DAYS",
        90.0,
        between(0, 36_501),
        "Feedback",
        "Days for which a verdict counts: clients and attackers change, and nobody looks again.",
    )
    feedback_verdicts: int = setting(
        "FEEDBACK_VERDICTS",
        10_000,
        whole(1, 1_000_000),
        "Feedback",
        "Verdicts that count, half a kilobyte each; the ones given longest ago make room.",
    )
    feedback_anomalies: int = setting(
        "FEEDBACK_ANOMALIES",
        10_000,
        whole(1, 10_000_000),
        "Feedback",
        "Returned anomalies that a verdict can name by id, half a kilobyte each; the oldest make"
        " room.",
    )

    max_body_bytes: int = setting(
        "MAX_BODY_BYTES",
        64 * _MIB,
        whole(1, 2**40),
        "Limits",
        "Bytes in a body, also after gzip is inflated; more is 413.",
    )
    max_batch_logs: int = setting(
        "MAX_BATCH_LOGS", 100_000, whole(1, 10**9), "Limits", "Logs in a `/detect`; more is 413."
    )
    max_training_body_bytes: int = setting(
        "MAX_TRAINING_BODY_BYTES",
        512 * _MIB,
        whole(1, 2**40),
        "Limits",
        "Bytes in the body of a `/train`, also after gzip is inflated; more is 413.",
    )
    max_training_logs: int = setting(
        "MAX_TRAINING_LOGS",
        1_000_000,
        whole(1, 10**9),
        "Limits",
        "Logs in a `/train`; more is 413.",
    )
    max_feedback_items: int = setting(
        "MAX_FEEDBACK_ITEMS",
        1_000,
        whole(1, 100_000),
        "Limits",
        "Verdicts in a `/feedback`; more is 413.",
    )
    idempotency_seconds: float = setting(
        "IDEMPOTENCY_SECONDS",
        600.0,
        between(0, 604_801),
        "Limits",
        "Seconds for which the answer to an `Idempotency-Key` is kept, also over a restart; longer"
        " than clients retry.",
    )
    idempotency_keys: int = setting(
        "IDEMPOTENCY_KEYS",
        10_000,
        whole(1, 10_000_000),
        "Limits",
        "Such answers that are kept, in 64 MiB at most; the oldest go first.",
    )

    log_level: str = setting("LOG_LEVEL", "INFO", level, "Journal", "Least severe entry written.")
    log_file: Path = setting(
        "LOG_FILE",
        Path("logs/anomaly_detection.log"),
        Path,
        "Journal",
        "JSON lines, a new file each day, kept 30 days; no token, user, address or body in it.",
    )

    def __post_init__(self) -> None:
        DoorSettings.__post_init__(self)
        if self.model_path.absolute() == self.scaler_path.absolute():
            raise SettingsError("SCALER_PATH must name another file than MODEL_PATH.")
        for path in (self.model_path, self.scaler_path):
            if path.name in RESERVED or not path.name:
                raise SettingsError(f"MODEL_PATH or SCALER_PATH cannot be named {path.name!r}.")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The settings out of `environ`. Raises SettingsError for the first that cannot be used."""
        concurrency = environ.get("WEB_CONCURRENCY", "").strip()
        if concurrency:
            parsed("WEB_CONCURRENCY", one_worker, concurrency)
        values: dict[str, Any] = {}
        for entry in fields(cls):
            name = entry.metadata["name"]
            text = environ.get(name, "").strip()
            if text:
                values[entry.name] = parsed(name, entry.metadata["parse"], text)
        return cls(**values)


def table() -> str:
    """The README's table of settings, in Markdown."""
    rows = ["| variable | default | what it does |", "|---|---|---|"]
    group = ""
    for entry in fields(Settings):
        about = entry.metadata
        if about["group"] != group:
            group = about["group"]
            rows.append(f"| **{group}** | | |")
        default = about["shown"] or _shown(entry.default)
        rows.append(f"| `{about['name']}` | {default} | {about['meaning']} |")
    return "\n".join(rows)


def _shown(default: Any) -> str:
    if default in (None, ()):
        return "unset"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    print(table())
