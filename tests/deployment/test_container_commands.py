"""The two commands that the image runs besides the service: compiling, and the health check."""

import re
import socket
from pathlib import Path

import pytest

from api_anomaly.http import healthcheck
from api_anomaly.runtime import compile_kernels
from api_anomaly.settings import Settings


def test_health_check_succeeds_when_the_service_answers(serve) -> None:
    with serve() as client:
        port = client.base_url.port
        assert healthcheck.serves(Settings(host="0.0.0.0", port=port))
        assert healthcheck.serves(Settings(host="127.0.0.1", port=port))


def test_the_health_check_fails_where_nothing_listens_or_no_http_is_spoken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert not healthcheck.serves(Settings(port=port))
        # A listener without TLS is not this service either.
        taken.listen()
        settings = Settings(port=port, ssl_certfile=Path("c.pem"), ssl_keyfile=Path("k.pem"))
        assert not healthcheck.serves(settings)


def test_compiling_kernels_covers_training_detection_and_restart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert compile_kernels.main() == 0
    out = capsys.readouterr()
    assert re.search(r"\d\d+ compiled kernels in ", out.out)
    assert out.err.count("training ended outcome=success") == 2
    assert re.search(r"started version=\S+ model=", out.err)
