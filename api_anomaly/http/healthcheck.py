"""The health check of the container image: ``python -m api_anomaly.http.healthcheck``.

The image has no curl. Reads HOST, PORT and SSL_CERTFILE as the service does. Exit code 0 if GET
/health answers 200, else 1.
"""

import http.client
import ssl
import sys

from api_anomaly.settings import Settings

_TIMEOUT_SECONDS = 3.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104  # read, not bound


def serves(settings: Settings) -> bool:
    """Whether GET /health answers 200 within 3 seconds."""
    connection = _connection(settings)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connection(settings: Settings) -> http.client.HTTPConnection:
    host = _LOOPBACK.get(settings.host, settings.host)
    if settings.ssl_certfile is None:
        return http.client.HTTPConnection(host, settings.port, timeout=_TIMEOUT_SECONDS)
    # The certificate is for the public name, not for the loopback address used here.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(
        host, settings.port, timeout=_TIMEOUT_SECONDS, context=context
    )


if __name__ == "__main__":
    sys.exit(0 if serves(Settings()) else 1)
