"""DELETE /subjects/{subject}."""

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.problems import json_response
from api_anomaly.http.responses import RemovedResponse
from api_anomaly.http.state import HttpState


async def delete_subject(request: Request, state: HttpState) -> Response:
    """Remove what is kept of one user or address: records of the memory, verdicts, recent
    anomalies, stored responses, logs of the history. `subject` is percent-encoded, as it is in the
    logs that are sent, or a user's pseudonym. The answer has the numbers, which are 0 for whom
    nothing is known; then also the files on disk are without it. What its logs added to baselines
    and to the model stays until a training without them."""
    removed = await state.app.subjects.remove(request.path_params["subject"])
    response: RemovedResponse = {
        "memory_records": removed.memory_records,
        "verdicts": removed.verdicts,
        "anomalies": removed.anomalies,
        "responses": removed.responses,
        "history_logs": removed.history_logs,
        "note": removed.note,
    }
    return json_response(response)
