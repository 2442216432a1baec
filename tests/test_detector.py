"""Detection finds abuse in a batch, explains it, and remembers every log."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.detector import Detector
from api_anomaly.features.memory import Memory
from api_anomaly.features.table import FEATURES
from api_anomaly.model.calibration import SEVERITIES
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from tests.support.streams import START, columns, plain, traffic

FAMILY = {row.name: row.family for row in FEATURES}

SMALL = FitOptions(trees=10, memory_entities=500)

Logs = list[dict[str, Any]]

PAST, TODAY = np.split(np.array(traffic(1_400, users=8)), [1_200])


@pytest.fixture(scope="module")
def team() -> Fitted:
    """A model of a team whose users write too."""
    return fit(columns(PAST), SMALL)


def later(count: int) -> Logs:
    """What the same team does next."""
    return list(TODAY[:count])


def burst() -> Logs:
    """One user's token used from another address: denials, another agent, many objects."""
    start = TODAY[-1]["time"]
    return [
        plain(
            start + 0.2 * i,
            user_id="user-1",
            ip_address="198.51.100.9",
            user_agent="other/9",
            endpoint=f"/orders/{100 + i}/secret",
            method="DELETE",
            status_code=403,
        )
        for i in range(80)
    ]


def test_abuse_is_found_and_reported_in_the_order_of_the_batch(team: Fitted) -> None:
    ordinary, abuse = later(200), burst()
    detections = Detector(team.model, team.memory).detect(columns(ordinary + abuse), remember=False)
    found = [anomaly.index for anomaly in detections.anomalies]
    assert found == sorted(found)
    assert sum(index >= 200 for index in found) > 60
    assert sum(index < 200 for index in found) <= 10
    for anomaly in detections.anomalies:
        assert anomaly.score == detections.scores[anomaly.index] < detections.threshold
        assert 0.0 <= anomaly.risk <= 100.0
        assert anomaly.severity in SEVERITIES[1:]
        assert 1 <= len(anomaly.reasons) <= 3
    last = {FAMILY[reason.feature] for reason in detections.anomalies[-1].reasons}
    assert last & {"denied", "errors", "writes", "peers", "rate", "new_endpoints", "counterparts"}


def test_a_given_threshold_decides_instead_of_the_models_own(team: Fitted) -> None:
    detector, batch = Detector(team.model, team.memory), columns(later(50) + burst())
    for threshold in (-1.0, -0.9, -0.5, -1e-10):
        detections = detector.detect(batch, threshold, remember=False)
        assert detections.threshold == threshold
        flagged = np.flatnonzero(detections.scores < threshold).tolist()
        assert [anomaly.index for anomaly in detections.anomalies] == flagged
    assert len(detections.anomalies) == len(batch)
    assert "low" in {anomaly.severity for anomaly in detections.anomalies}


def test_scores_do_not_depend_on_how_logs_are_sent(team: Fitted) -> None:
    logs = later(40) + burst()[:20]
    at_once = Detector(team.model, Memory.empty(500)).detect(columns(logs)).scores
    single = Detector(team.model, Memory.empty(500))
    assert [single.detect(columns([log])).scores[0] for log in logs] == at_once.tolist()


def test_confidence_is_the_share_of_logs_whose_user_or_address_has_a_history(team: Fitted) -> None:
    detector = Detector(team.model, Memory.empty(500))
    assert detector.detect(columns(later(1))).confidence == 0.0
    newcomers = [plain(START + i, user_id=f"n{i}", ip_address=None) for i in range(30)]
    regular = [plain(START + i) for i in range(70)]
    assert detector.detect(columns(newcomers + regular)).confidence == pytest.approx(0.5)


def test_an_empty_batch_gives_empty_detections(team: Fitted) -> None:
    detections = Detector(team.model, team.memory).detect(columns([]))
    assert (detections.scores.shape, detections.anomalies, detections.confidence) == ((0,), (), 0.0)
    assert detections.threshold == team.model.threshold


def test_the_deepest_path_that_fits_is_explained(team: Fitted) -> None:
    deep = columns([plain(START + 1e5, endpoint="/a" * 4_096)])
    detections = Detector(team.model, team.memory).detect(deep, -1e-10, remember=False)
    assert len(detections.anomalies[0].reasons) == 3
