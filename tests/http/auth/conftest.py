"""Tokens of a token file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from api_anomaly.http.auth.token_file import main


@pytest.fixture()
def new_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Appends an entry with an id and scopes to `tmp_path / "tokens"` and returns its token."""

    def create(name: str, scopes: str, *options: str) -> str:
        assert main([name, scopes, "--file", str(tmp_path / "tokens"), *options]) == 0
        return capsys.readouterr().err.split()[-1]

    return create
