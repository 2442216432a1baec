"""Who may do what: scopes, the token file, failed attempts, and what is told of it."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.http.app import lifespan_of
from api_anomaly.http.auth.rate_limit import LoginRateLimiter
from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.http.auth.scopes import AUDITED, NEEDED, SCOPES, allows, needed
from api_anomaly.settings import Settings
from api_anomaly.errors import TokenFileInvalid
from api_anomaly.http.auth.token_file import callers_at, entries_in, main
from benchmarks.robustness.service import Service

ENV = "a-token-of-the-tests"


def made(file: Path, name: str, scopes: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """A token that the command made, with its entry in `file`."""
    assert main([name, scopes, "--file", str(file), *more]) == 0
    return capsys.readouterr().err.split()[-1]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def until_status(client: httpx.Client, token: str, status: int) -> None:
    """Ask until the token file was read again; a second at most, and much patience."""
    for _ in range(20_000):
        if client.get("/status", headers=bearer(token)).status_code == status:
            return
    pytest.fail(f"the token was not answered with {status}")


# --- scopes ---------------------------------------------------------------------------------------


def test_every_guarded_endpoint_says_what_it_needs_and_an_unknown_one_needs_all() -> None:
    for endpoint in ENDPOINTS:
        assert not endpoint.guarded or endpoint.path in NEEDED
    assert needed("/an-endpoint-of-tomorrow") == "admin"
    assert {scope for scope in NEEDED.values()} - {"metrics"} == set(SCOPES)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_opens_what_its_scopes_say_and_nothing_else(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], scope: str
) -> None:
    token = made(tmp_path / "tokens", "somebody", scope, capsys)
    with serve(auth_token=(), tokens_file=tmp_path / "tokens", metrics_token=("m" * 30,)) as client:
        for endpoint in ENDPOINTS:
            if not endpoint.guarded and endpoint.path != "/metrics":
                continue
            answer = client.request(endpoint.method, endpoint.path, headers=bearer(token))
            opened = allows(frozenset((scope,)), NEEDED[endpoint.path])
            assert (answer.status_code != 403) == opened, endpoint.path
            if not opened:
                assert answer.json()["code"] == "forbidden"
        text = client.get("/metrics", headers=bearer("m" * 30)).text
        assert client.get("/status", headers=bearer("m" * 30)).status_code == 403
    assert "token_entries 1.0" in text
    assert not (tmp_path / "models" / "auth_token").exists()


def test_metrics_can_be_shut(serve) -> None:
    with serve(metrics_token=("only-metrics",)) as client:
        shut = httpx.get(str(client.base_url) + "/metrics")
        assert (shut.status_code, shut.headers["www-authenticate"]) == (401, "Bearer")
        for token in ("only-metrics", ENV):
            assert client.get("/metrics", headers=bearer(token)).status_code == 200


# --- the token file -------------------------------------------------------------------------------


def test_tokens_come_and_go_without_a_restart_and_overlap(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    old = made(file, "shipper", "read", capsys)
    # Asking until the file was read again takes many attempts that are refused.
    with serve(auth_token=(), tokens_file=file, auth_failures_per_minute=1_000_000) as client:
        new = made(file, "shipper", "read", capsys)
        until_status(client, new, 200)
        assert client.get("/status", headers=bearer(old)).status_code == 200
        file.write_text(file.read_text().splitlines()[1] + "\n")
        until_status(client, old, 401)
        assert client.get("/status", headers=bearer(new)).status_code == 200


def test_a_file_that_cannot_be_used_changes_nothing_and_is_named(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    token = made(file, "shipper", "read", capsys)
    with serve(auth_token=(), tokens_file=file) as client:
        for damage in (b"half a line", b"", b"\xff\xfe", None):
            before = client.get("/metrics").text
            file.unlink() if damage is None else file.write_bytes(damage)
            for _ in range(20_000):
                if client.get("/metrics").text.count('what="tokens"} 0.0') == 0:
                    break
            assert client.get("/status", headers=bearer(token)).status_code == 200, before
    journal = (tmp_path / "logs" / "journal.log").read_text()
    assert "tokens not reloaded" in journal and "token_file_invalid" in journal


def test_a_service_that_nobody_could_call_is_not_started(tmp_path: Path) -> None:
    paths = {"model_path": tmp_path / "m.pkl", "scaler_path": tmp_path / "s.pkl"}
    settings = Settings(tokens_file=tmp_path / "nowhere", log_file=tmp_path / "journal", **paths)

    async def start() -> None:
        async with lifespan_of(settings)(FastAPI()):
            pytest.fail("it started")

    with pytest.raises(TokenFileInvalid, match="cannot be read"):
        asyncio.run(start())


def test_an_entry_ends_when_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens"
    end = datetime(2030, 1, 1, tzinfo=UTC)
    made(file, "guest", "read", capsys, "--until", "2030-01-01T00:00:00Z")
    made(file, "owner", "admin", capsys)
    entries = entries_in(file)
    before, after = end - timedelta(seconds=1), end
    assert {caller.id for caller in callers_at(entries, before.timestamp()).values()} == {
        "guest",
        "owner",
    }
    assert [caller.id for caller in callers_at(entries, after.timestamp()).values()] == ["owner"]


def test_the_command_keeps_the_hash_and_shows_the_token_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens"
    token = made(file, "shipper-1", "detect,read", capsys)
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text() and len(token) >= 40
    monkeypatch.setattr("sys.stdin", io.StringIO("a token of my own choice\n"))
    assert main(["other", "admin", "--stdin"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("other sha256:") and told.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["bad id", "read"],
        ["x", "everything"],
        ["x", "read", "--until", "soon"],
        ["x", "read", "--file", "/nowhere/at/all"],
        ["x", "read", "--stdin"],
    ],
)
def test_the_command_refuses_what_would_not_work(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(arguments) == 1
    assert capsys.readouterr().err


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                ["id", "sha256:" + "0" * 64, "read", "read,", "until=2030-01-01", "until=x", "#"]
            ),
            max_size=6,
        ).map(lambda words: " ".join(words).encode()),
    )
)
def test_garbage_in_the_file_is_one_named_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "garbage"
    file.write_bytes(data)
    try:
        assert entries_in(file)
    except TokenFileInvalid as error:
        assert str(error)


# --- failed attempts ------------------------------------------------------------------------------


def test_guesses_are_limited_and_strong_tokens_still_work(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strong = made(tmp_path / "tokens", "shipper", "read", capsys)
    settings = {"auth_token": ("weak", ENV), "auth_failures_per_minute": 5}
    with serve(tokens_file=tmp_path / "tokens", **settings) as client:
        assert client.get("/status", headers=bearer("weak")).status_code == 200
        without = [client.get("/status", headers={"Authorization": ""}) for _ in range(9)]
        assert {answer.status_code for answer in without} == {401}
        wrong = [client.get("/status", headers=bearer(f"guess-{n}")) for n in range(8)]
        assert [answer.status_code for answer in wrong] == [401] * 5 + [429] * 3
        assert wrong[-1].json()["code"] == "too_many_attempts"
        assert int(wrong[-1].headers["retry-after"]) > 0
        assert client.get("/status", headers=bearer("weak")).status_code == 429
        assert client.get("/status", headers=bearer(strong)).status_code == 200
        assert client.get("/status", headers=bearer("x" * 40)).status_code == 429
        text = client.get("/metrics").text
    for reason, count in (("missing", 9), ("wrong", 5), ("limited", 5), ("scope", 0)):
        assert f'auth_failures_total{{reason="{reason}"}} {count}.0' in text


def test_attempts_are_counted_by_address_and_forgotten() -> None:
    attempts = LoginRateLimiter(per_minute=3)
    for moment in (0.0, 1.0, 2.0):
        attempts.failed("192.0.2.1", moment)
    assert attempts.exhausted("192.0.2.1", 2.0)
    assert not attempts.exhausted("192.0.2.2", 2.0)
    assert not attempts.exhausted("192.0.2.1", 30.0)


def test_an_ipv6_network_counts_as_one_caller() -> None:
    attempts = LoginRateLimiter(per_minute=2)
    for place in range(2):
        attempts.failed(f"2001:db8::{place:x}", 0.0)
    assert attempts.exhausted("2001:db8::ffff", 0.0)
    assert not attempts.exhausted("2001:db8:0:1::", 0.0)
    assert not attempts.exhausted("no:address", 0.0)


def test_the_store_of_addresses_is_bounded() -> None:
    attempts = LoginRateLimiter(per_minute=2, addresses=100)
    for number in range(1_000):
        attempts.failed(f"192.0.{number // 250}.{number % 250}", float(number))
    assert len(attempts) == 100


def test_behind_a_trusted_proxy_callers_are_told_apart_and_nobody_else_is_believed(
    tmp_path: Path,
) -> None:
    limits = {"AUTH_FAILURES_PER_MINUTE": "2"}
    wrong = {"Authorization": "Bearer wrong"}
    with Service(tmp_path / "trusted", TRUSTED_PROXIES="127.0.0.0/8", **limits) as service:
        asked = [
            service.ask("GET", "/status", X_Forwarded_For=f"192.0.2.{caller}", **wrong).status
            for caller in (1, 1, 1, 2)
        ]
    assert asked == [401, 401, 429, 401]
    with Service(tmp_path / "not", **limits) as service:
        asked = [
            service.ask("GET", "/status", X_Forwarded_For=f"192.0.2.{caller}", **wrong).status
            for caller in (1, 2, 3)
        ]
    assert asked == [401, 401, 429]


# --- what browsers and journals get -----------------------------------------------------------


def test_every_answer_has_security_headers(serve) -> None:
    with serve() as client:
        for path in ("/health", "/metrics", "/status", "/nowhere", "/docs", "/openapi.json"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == "no-store"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "strict-transport-security" not in headers  # without TLS it would be ignored


def test_other_sites_are_shut_out_unless_they_are_named(serve) -> None:
    asking = {"Origin": "https://ops.example.org", "Access-Control-Request-Method": "POST"}
    with serve() as client:
        assert client.options("/detect", headers=asking).status_code == 405
        assert "access-control-allow-origin" not in client.get("/health", headers=asking).headers
    with serve(cors_origins=("https://ops.example.org",)) as client:
        allowed = client.options("/detect", headers=asking)
        assert allowed.headers["access-control-allow-origin"] == "https://ops.example.org"
        other = client.get("/health", headers={"Origin": "https://evil.example.org"})
        assert "access-control-allow-origin" not in other.headers


def test_whoever_changes_the_model_is_in_the_audit_whatever_the_log_level(
    serve, logs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = made(tmp_path / "tokens", "night-job", "train", capsys)
    with serve(tokens_file=tmp_path / "tokens", log_level="CRITICAL") as client:
        client.post("/train", json={"logs": logs(100)}, headers=bearer(token))
        client.post("/train", json={"logs": logs(3)})
        client.post("/load-model", headers=bearer(token))
        client.post("/load-model", headers=bearer("a wrong token of somebody"))
        client.post("/load-model")
        client.get("/status")
        client.post("/detect", json={"logs": logs(1)})
    lines = (tmp_path / "logs" / "journal.log").read_text().splitlines()
    audit = [entry for entry in map(json.loads, lines) if entry["event"] == "audit"]
    assert [
        (entry["token"], entry["endpoint"], entry["status"], entry["result"]) for entry in audit
    ] == [
        ("night-job", "/train", 200, "success"),
        ("env-1", "/train", 422, "too_few_logs"),
        ("night-job", "/load-model", 403, "forbidden"),
        (None, "/load-model", 401, "unauthorized"),
        ("env-1", "/load-model", 200, "success"),
    ]
    assert all(entry["time"] and entry["request_id"] for entry in audit)
    assert AUDITED >= {"/train", "/load-model", "/feedback"}
    text = "\n".join(lines)
    assert token not in text and "wrong token" not in text and ENV not in text
