"""Settings from environment variables: one class, one field for each variable.

``Settings()`` reads the environment once, in main; everything else gets the object passed in. An
empty variable counts as unset, and no ``.env`` file is read. ``python -m api_anomaly.settings``
prints the table in docs/settings.md. To add a setting, add a field: default, meaning, bounds.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic import ModelWrapValidatorHandler, model_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from api_anomaly.settings_types import (
    Key,
    Keys,
    Level,
    Networks,
    OneWorker,
    Origins,
    RulesFile,
    TimeZone,
    Tokens,
    Whole,
)

#: The sample value of the documents: it works, with a warning.
SAMPLE_TOKEN = "your-secret-token"  # nosec B105  # published on purpose
#: Names of other files in the folder of the model.
RESERVED = frozenset(
    ("current", "versions", ".lock", "memory.snapshot", ".memory.snapshot.part")
    + ("auth_token", "signing_key", "feedback", ".feedback.part", "feedback.damaged")
    + (".feedback.damaged.part", "history", "journal")
)
_MIB = 1024 * 1024


class SettingsError(Exception):
    """Settings that cannot be used: one sentence a line, each names its variable."""


def _group(name: str) -> Callable[..., Any]:
    """Makes the fields of one group of the table."""

    def setting(default: Any, meaning: str, *, shown: str = "", **options: Any) -> Any:
        """A field with its default and meaning. `shown` describes a default that a value does not;
        `options` are those of pydantic's Field: bounds, and repr=False for secrets."""
        extra: JsonDict = {"group": name, "shown": shown}
        return Field(default, description=meaning, json_schema_extra=extra, **options)

    return setting


_server = _group("Server")
_access = _group("Access")
_overload = _group("Overload")
_model = _group("Model")
_detection = _group("Detection")
_feedback = _group("Feedback")
_ingest = _group("Logs and history")
_limits = _group("Limits")
_journal = _group("Journal")


class Settings(BaseSettings):
    """All settings, by group. A variable is the field's name in capitals.

    ``Settings()`` reads the environment, ``Settings(port=1)`` overrides it. Raises SettingsError.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper,
        case_sensitive=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    host: str = _server(
        "0.0.0.0",  # nosec B104
        "Address to listen on; the default is every interface, as a container needs.",
    )
    port: Whole = _server(8000, "Port to listen on.", ge=1, le=65_535)
    workers: OneWorker = _server(
        1, "Only 1 is accepted: the recent behaviour of users is kept in the process."
    )
    web_concurrency: OneWorker = _server(
        1, "Only 1 is accepted, as for `WORKERS`; uvicorn reads it."
    )
    ssl_certfile: Path | None = _server(
        None, "PEM file of the certificate chain; with `SSL_KEYFILE` the server uses TLS."
    )
    ssl_keyfile: Path | None = _server(None, "PEM file of the certificate's private key.")
    trusted_proxies: Networks = _server(
        (),
        "Addresses or networks of proxies, comma-separated, whose `X-Forwarded-For` is used as the"
        " caller's address; otherwise every caller behind a proxy has the proxy's address.",
    )
    cors_origins: Origins = _server(
        (),
        "Origins of web pages that may call from a browser (`https://ops.example.org`),"
        " comma-separated; unset: none.",
    )

    auth_token: Tokens = _access(
        (),
        "Accepted bearer tokens, comma-separated: add a new one before removing the old one.",
        shown="created at first start, kept in `auth_token` beside the model, shown once",
        repr=False,
    )
    tokens_file: Path | None = _access(
        None,
        "File of hashed tokens with scopes, read again when it changes; see docs/operations.md.",
    )
    metrics_token: Tokens = _access(
        (),
        "If set, `/metrics` needs one of these tokens (comma-separated) or a token with the scope"
        " to read.",
        shown="unset: `/metrics` is open",
        repr=False,
    )
    auth_failures_per_minute: Whole = _access(
        60,
        "Invalid tokens accepted from one address per minute; more are 429, and tokens under 20"
        " characters from that address are then refused unread.",
        ge=1,
        le=1_000_000,
    )
    pseudonym_key: Key = _access(
        "",
        "If set (32 characters or more), users and addresses of all logs are replaced by"
        " pseudonyms of this key before anything is scored or kept; with another key every user"
        " is new. See docs/security.md.",
        shown="unset",
        repr=False,
    )

    max_connections: Whole = _overload(
        1_000,
        "Open connections; beyond it the connection that has been idle longest is closed.",
        ge=1,
        le=100_000,
    )
    max_open_requests: Whole = _overload(
        256,
        "Requests answered at the same time; more are 503 at once, except `/health`.",
        ge=1,
        le=100_000,
    )
    max_open_bytes: Whole = _overload(
        256 * _MIB,
        "Bytes of request bodies held at the same time; more are 503, but a single request is"
        " always accepted.",
        ge=1,
        le=2**40,
    )
    max_wait_seconds: float = _overload(
        0.5,
        "Estimated seconds of work that may wait behind the current batch; more is 503 at once.",
        gt=0,
        lt=3_601,
    )
    header_seconds: float = _overload(
        10.0,
        "Seconds in which a request's headers must arrive; then the connection is closed.",
        gt=0,
        lt=3_601,
    )
    body_seconds: float = _overload(
        20.0,
        "Seconds in which a body must arrive, plus one for each 16 KiB received; then 408.",
        gt=0,
        lt=86_401,
    )
    max_header_bytes: Whole = _overload(
        32 * 1024, "Bytes in a request's line and headers; more is 431.", ge=1_024, le=2**24
    )

    model_path: Path = _model(
        Path("models/isolation_forest.pkl"),
        "The forest. Its folder also holds the versions, the memory and the created secrets.",
    )
    scaler_path: Path = _model(
        Path("models/scaler.pkl"), "The peer baseline that belongs to the forest."
    )
    model_versions_kept: Whole = _model(
        5,
        "Trained versions kept on disk, always including the served one.",
        ge=1,
        le=1_000,
    )
    model_signing_key: Keys = _model(
        (),
        "Keys for the signatures of models, comma-separated, at least 16 characters each: the first"
        " signs, all verify.",
        shown="created at first start, kept in `signing_key` beside the model",
        repr=False,
    )

    alert_budget: float = _detection(
        0.001,
        "Share of ordinary requests that may be flagged: one false alarm in a thousand.",
        gt=0,
        lt=0.5,
    )
    forest_trees: Whole = _detection(
        100,
        "Trees in the forest. 100 is the paper's number; time grows in proportion.",
        ge=1,
        le=10_000,
    )
    seed: Whole = _detection(
        0,
        "Seed of the training: the same logs and seed give the same model.",
        ge=0,
        le=2**32 - 1,
    )
    training_threads: Whole = _detection(
        1,
        "Threads of a training. They do not change the model; each uses a core that requests then"
        " do not have.",
        ge=1,
        le=64,
    )
    memory_entities: Whole = _detection(
        1_000_000,
        "Users and addresses remembered; the least recently seen are evicted.",
        ge=16,
        le=100_000_000,
    )
    rules_file: RulesFile | None = _detection(
        None,
        "YAML file of the static rules that `include_rules` evaluates, read at the start.",
        shown="`api_anomaly/rules/default.yaml`",
    )
    snapshot_seconds: float = _detection(
        60.0,
        "Seconds between snapshots of the memory: what a killed process loses at most.",
        gt=0,
        lt=86_401,
    )
    inline_logs: Whole = _detection(
        256,
        "Batches of at most this many logs are scored on the event loop, which takes about a"
        " millisecond; larger ones in a thread.",
        ge=0,
        le=10_000,
    )

    feedback_days: float = _feedback(
        90.0,
        "Days for which a verdict counts: clients and attackers change, and old verdicts are not"
        " reviewed.",
        gt=0,
        lt=36_501,
    )
    feedback_verdicts: Whole = _feedback(
        10_000,
        "Verdicts that count, half a kilobyte each; beyond it the oldest are dropped.",
        ge=1,
        le=1_000_000,
    )
    feedback_anomalies: Whole = _feedback(
        10_000,
        "Returned anomalies that a verdict can refer to by id, half a kilobyte each; beyond it the"
        " oldest are dropped.",
        ge=1,
        le=10_000_000,
    )

    log_trusted_proxies: Networks = _ingest(
        (),
        "Addresses or networks of proxies that write `X-Forwarded-For` into the ingested logs,"
        " comma-separated: the client is the right-most address that is none of them.",
    )
    log_time_zone: TimeZone = _ingest(
        "UTC", "Time zone of ingested logs that name none, like `Europe/Berlin`."
    )
    log_formats_file: Path | None = _ingest(
        None, "YAML file of own log formats by name, for `/ingest?format=NAME`."
    )
    history: bool = _ingest(True, "Keep what is ingested and detected; `off` keeps nothing.")
    history_url: str = _ingest(
        "",
        "Folder of the Parquet files, or an address like `s3://bucket/folder`.",
        shown="`history` beside the model",
    )
    history_days: float = _ingest(
        30.0, "Days before the latest log for which logs are kept.", gt=0, lt=36_501
    )
    history_max_gb: float = _ingest(
        0.0, "Gigabytes of Parquet files; the oldest hours go first. 0: no limit.", ge=0, le=10**6
    )
    first_training_hours: float = _ingest(
        24.0, "Hours of history after which a service without a model trains one.", ge=0, le=10**5
    )
    first_training_logs: Whole = _ingest(
        10_000, "Logs of history after which a service without a model trains one.", ge=10
    )

    max_body_bytes: Whole = _limits(
        64 * _MIB, "Bytes in a body, also after decompression; more is 413.", ge=1, le=2**40
    )
    max_batch_logs: Whole = _limits(100_000, "Logs in one `/detect`; more is 413.", ge=1, le=10**9)
    max_training_body_bytes: Whole = _limits(
        512 * _MIB,
        "Bytes in the body of a `/train`, also after decompression; more is 413.",
        ge=1,
        le=2**40,
    )
    max_training_logs: Whole = _limits(
        1_000_000, "Logs in one `/train`; more is 413.", ge=1, le=10**9
    )
    max_feedback_items: Whole = _limits(
        1_000, "Verdicts in one `/feedback`; more is 413.", ge=1, le=100_000
    )
    idempotency_seconds: float = _limits(
        600.0,
        "Seconds for which the response to an `Idempotency-Key` is kept: longer than clients"
        " retry.",
        gt=0,
        lt=604_801,
    )
    idempotency_keys: Whole = _limits(
        10_000,
        "Responses kept for an `Idempotency-Key`, at most 64 MiB of them; beyond it the oldest are"
        " dropped.",
        ge=1,
        le=10_000_000,
    )

    log_level: Level = _journal("INFO", "Least severe entry written.")
    log_file: Path = _journal(
        Path("logs/anomaly_detection.log"),
        "JSON lines, a new file each day, kept 30 days; without tokens, users, addresses and"
        " bodies.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @model_validator(mode="wrap")
    @classmethod
    def _name_variables(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        stripped = {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}
        try:
            settings = handler({name: value for name, value in stripped.items() if value != ""})
        except ValidationError as error:
            sentences = [_sentence(found) for found in error.errors(include_url=False)]
        else:
            sentences = list(settings._conflicts())
            if not sentences:
                return settings
        raise SettingsError("\n".join(sentences))

    @property
    def model_folder(self) -> Path:
        """Where the service keeps its files."""
        return self.model_path.absolute().parent

    def _conflicts(self) -> Iterator[str]:
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            yield "SSL_CERTFILE and SSL_KEYFILE belong together: set both or none."
        if self.model_path.absolute() == self.scaler_path.absolute():
            yield "SCALER_PATH must name another file than MODEL_PATH."
        for path in (self.model_path, self.scaler_path):
            if path.name in RESERVED or not path.name:
                yield f"MODEL_PATH or SCALER_PATH cannot be named {path.name!r}."


def variables() -> tuple[str, ...]:
    """The names of all environment variables that are settings."""
    return tuple(name.upper() for name in Settings.model_fields)


def _sentence(error: ErrorDetails) -> str:
    """ "PORT is 'http', but must be a whole number from 1 to 65535." A secret is not repeated."""
    variable = str(error["loc"][0]).upper()
    field = Settings.model_fields.get(variable.lower())
    if field is None:
        return f"{variable} is not a setting."
    expected = str(error["ctx"]["error"]) if error["type"] == "value_error" else _expected(field)
    given = repr(str(error["input"])) if field.repr else "a value that cannot be used"
    return f"{variable} is {given}, but must be {expected}."


def _expected(field: FieldInfo) -> str:
    bounds = {
        kind: getattr(bound, kind)
        for bound in field.metadata
        for kind in ("ge", "le", "gt", "lt")
        if hasattr(bound, kind)
    }
    if "ge" in bounds:
        return f"a whole number from {bounds['ge']} to {bounds['le']}"
    if "gt" in bounds:
        return f"a number above {bounds['gt']:g} and below {bounds['lt']:g}"
    choices: Sequence[str] = getattr(field.annotation, "__args__", ())
    return f"one of {', '.join(map(str, choices))}"


def table() -> str:
    """The table of settings in docs/settings.md, in Markdown."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    group = ""
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        if extra["group"] != group:
            group = str(extra["group"])
            rows.append(f"| **{group}** | | |")
        default = extra["shown"] or _format(field.default)
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def _format(default: Any) -> str:
    if default in (None, ()):
        return "unset"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    print(table())
