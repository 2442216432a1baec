"""A process that is killed while it saves leaves a model that loads."""

import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from api_anomaly.model.fit import Fitted
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.manifest import TrainingFacts
from api_anomaly.storage.models import ModelStore
from tests.support.paths import ROOT

KEY = "a signing key of the tests"
WRITER = """
import pickle, sys
from datetime import UTC, datetime
from pathlib import Path
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.models import ModelStore

folder = Path(sys.argv[1])
model, facts = pickle.loads((folder / "given").read_bytes())
store = ModelStore(folder / "isolation_forest.pkl", folder / "scaler.pkl",
SigningKeys([sys.argv[2]]), 2)
while True:
    print(store.save(model, facts, datetime.now(UTC)).version, flush=True)
"""
KILLS = 5


def test_a_kill_at_any_moment_of_a_save_leaves_a_model_that_loads(
    tmp_path: Path, fitted: Fitted, facts: TrainingFacts
) -> None:
    (tmp_path / "given").write_bytes(pickle.dumps((fitted.model, facts)))
    store = ModelStore(
        tmp_path / "isolation_forest.pkl", tmp_path / "scaler.pkl", SigningKeys([KEY]), 2
    )
    chance = random.Random(1)
    told = ""
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), KEY],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as writer:
            assert writer.stdout is not None
            told = writer.stdout.readline().strip()
            moment = time.perf_counter() + chance.random() * 0.05
            while time.perf_counter() < moment:
                pass
            writer.send_signal(signal.SIGKILL)
            told = [told, *writer.stdout.read().split()][-1]
        model, manifest = store.load()
        # The kill may have come between the switch and the message, never before what was told.
        assert manifest.version >= told
        assert model.threshold == fitted.model.threshold
