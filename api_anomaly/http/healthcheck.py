"""Asks the service in this container whether it serves: ``python -m api_anomaly.http.healthcheck``.

For the image's health check, which has no curl. Reads HOST, PORT and SSL_CERTFILE as the service
does. Exit code 0 when /health answers 200, else 1.
"""

import http.client
import ssl
import sys

from api_anomaly.settings import Settings

_SECONDS = 3.0
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104  # read, not bound


def serves(settings: Settings) -> bool:
    """Whether GET /health is answered with 200 within 3 seconds."""
    connection = _connection(settings)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connection(settings: Settings) -> http.client.HTTPConnection:
    host = _EVERY_INTERFACE.get(settings.host, settings.host)
    if settings.ssl_certfile is None:
        return http.client.HTTPConnection(host, settings.port, timeout=_SECONDS)
    # The certificate names the public host, never the loopback address that is asked here.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, settings.port, timeout=_SECONDS, context=context)


if __name__ == "__main__":
    sys.exit(0 if serves(Settings()) else 1)
