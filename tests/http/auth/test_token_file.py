"""The token file: its format, the command that writes it, and reloading while the service runs."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.errors import TokenFileInvalid
from api_anomaly.http.app import lifespan_of
from api_anomaly.http.auth.token_file import active_callers, main, read_token_file
from api_anomaly.settings import Settings

Capture = pytest.CaptureFixture[str]


def status_of(client: httpx.Client, token: str) -> int:
    """The status of a request with `token`."""
    headers = {"Authorization": f"Bearer {token}"}
    return client.get("/status", headers=headers).status_code


def wait_for_status(client: httpx.Client, token: str, status: int) -> None:
    """Repeat a request until the token file was read again, which takes a second at most."""
    for _ in range(20_000):
        if status_of(client, token) == status:
            return
    pytest.fail(f"the token was not answered with {status}")


# --- reloading ------------------------------------------------------------------------------------


def test_tokens_are_added_and_removed_without_a_restart(serve, tmp_path: Path, new_token) -> None:
    old = new_token("shipper", "read")
    # Waiting for the file to be read again takes many refused requests.
    with serve(
        auth_token=(), tokens_file=tmp_path / "tokens", auth_failures_per_minute=1_000_000
    ) as client:
        new = new_token("shipper", "read")
        wait_for_status(client, new, 200)
        assert status_of(client, old) == 200
        file = tmp_path / "tokens"
        file.write_text(file.read_text().splitlines()[1] + "\n")
        wait_for_status(client, old, 401)
        assert status_of(client, new) == 200
        assert "token_entries 1.0" in client.get("/metrics").text


def test_an_invalid_file_is_reported_and_leaves_the_accepted_tokens(
    serve, tmp_path: Path, new_token
) -> None:
    token, file = new_token("shipper", "read"), tmp_path / "tokens"
    with serve(auth_token=(), tokens_file=file) as client:
        for content in (b"half a line", b"", b"\xff\xfe", None):
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
            for _ in range(20_000):
                if 'what="tokens"} 0.0' not in client.get("/metrics").text:
                    break
            assert status_of(client, token) == 200
    journal = (tmp_path / "logs" / "journal.log").read_text()
    assert "tokens not reloaded" in journal and "token_file_invalid" in journal


def test_a_service_without_any_token_does_not_start(tmp_path: Path) -> None:
    settings = Settings(
        tokens_file=tmp_path / "nowhere",
        log_file=tmp_path / "journal",
        model_path=tmp_path / "m.pkl",
        scaler_path=tmp_path / "s.pkl",
    )

    async def start() -> None:
        async with lifespan_of(settings)(FastAPI()):
            pytest.fail("it started")

    with pytest.raises(TokenFileInvalid, match="cannot be read"):
        asyncio.run(start())


def test_with_a_token_file_no_token_is_created(serve, tmp_path: Path, new_token) -> None:
    new_token("shipper", "read")
    with serve(auth_token=(), tokens_file=tmp_path / "tokens"):
        assert not (tmp_path / "models" / "auth_token").exists()


# --- the format and the command -------------------------------------------------------------------


def test_an_entry_expires_at_its_time(tmp_path: Path, new_token) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    new_token("guest", "read", "--until", "2030-01-01T00:00:00Z")
    new_token("owner", "admin")
    entries = read_token_file(tmp_path / "tokens")
    before = active_callers(entries, (end - timedelta(seconds=1)).timestamp())
    after = active_callers(entries, end.timestamp())
    assert {caller.id for caller in before.values()} == {"guest", "owner"}
    assert [caller.id for caller in after.values()] == ["owner"]


def test_the_file_holds_no_token_and_is_private(tmp_path: Path, new_token) -> None:
    token, file = new_token("shipper-1", "detect,read"), tmp_path / "tokens"
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text() and len(token) >= 40


def test_a_token_on_standard_input_is_hashed_and_not_shown(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a token of my own choice\n"))
    assert main(["other", "admin", "--stdin"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("other sha256:") and output.err == ""


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
def test_the_command_refuses_an_entry_that_would_not_work(
    arguments: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
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
def test_an_invalid_file_raises_one_named_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "garbage"
    file.write_bytes(data)
    try:
        assert read_token_file(file)
    except TokenFileInvalid as error:
        assert str(error)
