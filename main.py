"""Start the service: `python main.py`, or `uvicorn main:app`."""

from api_anomaly.http.app import create_app
from api_anomaly.http.server import serve
from api_anomaly.settings import Settings, SettingsError

try:
    settings = Settings()
except SettingsError as error:
    raise SystemExit(str(error)) from None

app = create_app(settings)

if __name__ == "__main__":
    serve(app, settings)
