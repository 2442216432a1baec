"""Settings: each is read, each bad value is an error that names its variable."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from api_anomaly.settings import Settings, SettingsError, table, variables
from tests.support.paths import ROOT

DEFAULTS = {
    "PORT": 8000,
    "HOST": "0.0.0.0",
    "AUTH_TOKEN": (),
    "MODEL_PATH": Path("models/isolation_forest.pkl"),
    "SCALER_PATH": Path("models/scaler.pkl"),
    "LOG_LEVEL": "INFO",
    "LOG_FILE": Path("logs/anomaly_detection.log"),
    "ALERT_BUDGET": 0.001,
    "MEMORY_ENTITIES": 1_000_000,
    "SNAPSHOT_SECONDS": 60.0,
    "MODEL_VERSIONS_KEPT": 5,
    "MAX_BODY_BYTES": 64 * 2**20,
    "MAX_BATCH_LOGS": 100_000,
    "MAX_TRAINING_LOGS": 1_000_000,
    "MAX_TRAINING_BODY_BYTES": 512 * 2**20,
}


def value_of(settings: Settings, variable: str) -> object:
    return getattr(settings, variable.lower())


def message_of(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    for variable, text in environ.items():
        monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as error:
        Settings()
    return str(error.value)


@pytest.mark.parametrize(("variable", "default"), DEFAULTS.items())
def test_the_promised_defaults_hold_when_nothing_is_set(variable: str, default: object) -> None:
    assert value_of(Settings(), variable) == default


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("PORT", "9000", 9000),
        ("HOST", "127.0.0.1", "127.0.0.1"),
        ("AUTH_TOKEN", "one, two ,,three", ("one", "two", "three")),
        ("MODEL_SIGNING_KEY", "0123456789abcdef", ("0123456789abcdef",)),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", ("10.0.0.0/8", "::1/128")),
        ("CORS_ORIGINS", "https://ops.example.org", ("https://ops.example.org",)),
        ("MODEL_PATH", "/data/forest.pkl", Path("/data/forest.pkl")),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("ALERT_BUDGET", "1e-4", 0.0001),
        ("SNAPSHOT_SECONDS", "0.5", 0.5),
        ("SEED", "4294967295", 2**32 - 1),
        ("WORKERS", "1", 1),
        ("PORT", "", 8000),
        ("PORT", "  ", 8000),
        ("AUTH_TOKEN", "", ()),
    ],
)
def test_a_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert value_of(Settings(), variable) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("PORT", "80.0"),
        ("PORT", "8_000"),
        ("PORT", "http"),
        ("PORT", "９０００"),
        ("PORT", "9" * 5_000),
        ("ALERT_BUDGET", "0"),
        ("ALERT_BUDGET", "nan"),
        ("ALERT_BUDGET", "inf"),
        ("ALERT_BUDGET", "a few"),
        ("MEMORY_ENTITIES", "-1"),
        ("SNAPSHOT_SECONDS", "0"),
        ("MODEL_VERSIONS_KEPT", "0"),
        ("LOG_LEVEL", "loud"),
        ("TRUSTED_PROXIES", "proxy.example.org"),
        ("CORS_ORIGINS", "ops.example.org"),
        ("AUTH_TOKEN", ","),
        ("AUTH_TOKEN", "tökën"),
        ("MODEL_SIGNING_KEY", "short"),
        ("WORKERS", "4"),
        ("WEB_CONCURRENCY", "2"),
        ("SSL_CERTFILE", "cert.pem"),
        ("SCALER_PATH", "models/isolation_forest.pkl"),
        ("MODEL_PATH", "models/current"),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    assert variable in message_of(monkeypatch, **{variable: text})


def test_an_error_says_what_was_given_and_what_is_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = message_of(monkeypatch, PORT="http", ALERT_BUDGET="2", LOG_LEVEL="loud")
    assert message.splitlines() == [
        "PORT is 'http', but must be a whole number from 1 to 65535.",
        "ALERT_BUDGET is '2', but must be a number above 0 and below 0.5.",
        "LOG_LEVEL is 'LOUD', but must be one of TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR,"
        " CRITICAL.",
    ]


def test_more_than_one_worker_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "kept in the process" in message_of(monkeypatch, WEB_CONCURRENCY="2")


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(SettingsError, match="TREES is not a setting."):
        Settings(**{"trees": 1})


def test_no_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=9000\n")
    monkeypatch.chdir(tmp_path)
    assert Settings().port == 8000


def test_no_secret_shows_in_an_error_or_in_the_settings_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "sesame" not in message_of(monkeypatch, MODEL_SIGNING_KEY="sesame")
    shown = Settings(auth_token=("sesame",), model_signing_key=("sesame" * 3,))
    assert "sesame" not in f"{shown!r} {shown}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        setattr(Settings(), "port", 1)


def test_every_setting_has_a_row_with_a_meaning() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+) \| (.+) \|$", table(), re.MULTILINE)
    assert tuple(row[0] for row in rows) == variables()
    assert all(len(meaning) > 10 and meaning.endswith(".") for _, _, meaning in rows)


def test_the_table_is_printed_for_the_documents() -> None:
    command = [sys.executable, "-m", "api_anomaly.settings"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == table()


def test_the_documents_hold_the_table_of_settings() -> None:
    assert table() in (ROOT / "docs" / "settings.md").read_text()
