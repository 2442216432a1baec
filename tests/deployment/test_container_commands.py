"""The two commands that the image runs besides the service: compiling, and the health check."""

import re
import socket
from pathlib import Path

import pytest

from api_anomaly.http import healthcheck as alive
from api_anomaly.runtime import compile_kernels as warm
from api_anomaly.settings import Settings


def test_the_health_check_is_content_with_a_service_that_answers(serve) -> None:
    with serve() as client:
        port = client.base_url.port
        assert alive.serves(Settings(host="0.0.0.0", port=port))
        assert alive.serves(Settings(host="127.0.0.1", port=port))


def test_the_health_check_fails_where_nothing_listens_or_no_http_is_spoken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert not alive.serves(Settings(port=port))
        # Whoever listens but does not speak TLS is no service of ours either.
        taken.listen()
        settings = Settings(port=port, ssl_certfile=Path("c.pem"), ssl_keyfile=Path("k.pem"))
        assert not alive.serves(settings)


def test_warming_up_lives_through_training_detection_and_restart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert warm.main() == 0
    out = capsys.readouterr()
    assert re.search(r"\d\d+ compiled kernels in ", out.out)
    assert out.err.count("training ended outcome=success") == 2
    assert re.search(r"started version=\S+ model=", out.err)
