"""Keeps a small model of this release for the tests of all later ones:
``python tests/storage/golden/make.py``. Run it once for each release that can train another model,
and never change what it left."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from api_anomaly import __version__  # noqa: E402
from api_anomaly.detector import Detector  # noqa: E402
from api_anomaly.model.fit import fit  # noqa: E402
from api_anomaly.model.scorer import FitOptions  # noqa: E402
from api_anomaly.features.memory import Memory  # noqa: E402
from api_anomaly.storage.keys import SigningKeys  # noqa: E402
from api_anomaly.storage.manifest import TrainingFacts  # noqa: E402
from api_anomaly.storage.models import ModelStore  # noqa: E402
from tests.support.traffic import as_columns, ordinary_logs  # noqa: E402

#: Published: it opens these files and nothing else.
KEY = "the key of the golden models"


def main() -> None:
    fitted = fit(as_columns(ordinary_logs(90)), FitOptions(trees=3, memory_entities=64))
    facts = TrainingFacts(
        training_samples=90,
        train_anomalies=fitted.facts.train_anomalies,
        test_anomalies=fitted.facts.test_anomalies,
        accuracy=fitted.facts.accuracy,
        held_out_precision=None,
        held_out_recall=None,
        threshold=fitted.model.threshold,
        feature_count=fitted.model.feature_count,
        alert_budget=0.001,
        duration_seconds=1.0,
    )
    folder = Path(__file__).parent / f"{__version__}"
    shutil.rmtree(folder, ignore_errors=True)
    store = ModelStore(folder / "isolation_forest.pkl", folder / "scaler.pkl", SigningKeys([KEY]))
    store.save(fitted.model, facts, datetime(2026, 1, 1, tzinfo=UTC))
    (folder / ".lock").unlink()
    verdicts = Detector(fitted.model, Memory.empty(64)).detect(as_columns(ordinary_logs(20)))
    (folder / "scores.json").write_text(json.dumps(verdicts.scores.tolist()) + "\n")


if __name__ == "__main__":
    main()
