"""Models of earlier releases, kept for ever: each loads and scores as it did, or is refused with
the way out. None may fail in another way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from api_anomaly.detector import Detector
from api_anomaly.features.memory import Memory
from api_anomaly.errors import ModelIncompatible, ModelNotTrusted
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.models import ModelStore

GOLDEN = Path(__file__).parent / "golden"
KEY = "the key of the golden models"  # published: see golden/make.py
RELEASES = sorted(path.name for path in GOLDEN.iterdir() if (path / "current").is_symlink())


def store(folder: Path, *keys: str) -> ModelStore:
    return ModelStore(folder / "isolation_forest.pkl", folder / "scaler.pkl", SigningKeys(keys))


def test_there_is_one() -> None:
    assert "0.1.0" in RELEASES


@pytest.mark.parametrize("release", RELEASES)
def test_a_model_of_an_earlier_release_loads_or_is_refused_with_the_way_out(
    release: str, tmp_path: Path, logs, columns
) -> None:
    folder = tmp_path / release
    shutil.copytree(GOLDEN / release, folder, symlinks=True)
    try:
        model, manifest = store(folder, KEY).load()
    except ModelIncompatible as refusal:
        assert "rain" in str(refusal)  # "Train again.", "Call POST /train."
        return
    assert manifest.facts.training_samples == 90
    verdicts = Detector(model, Memory.empty(64)).detect(columns(logs(20)))
    before = json.loads((folder / "scores.json").read_text())
    assert np.allclose(verdicts.scores, before, atol=1e-9)


@pytest.mark.parametrize("release", RELEASES)
def test_under_another_key_it_is_not_opened(release: str, tmp_path: Path) -> None:
    folder = tmp_path / release
    shutil.copytree(GOLDEN / release, folder, symlinks=True)
    with pytest.raises(ModelNotTrusted, match="signature"):
        store(folder, "a key of somebody else").load()
    assert store(folder, "a new key of ours", KEY).versions()


@pytest.mark.parametrize("release", RELEASES)
def test_the_service_starts_beside_it_and_says_what_to_do(
    release: str, serve, tmp_path: Path, logs
) -> None:
    shutil.copytree(GOLDEN / release, tmp_path / "models", symlinks=True)
    with serve(model_signing_key=(KEY,)) as client:
        loaded = client.post("/load-model")
        assert loaded.status_code in (200, 409)
        if loaded.status_code == 409:
            assert loaded.json()["code"] == "model_incompatible"
            assert "rain" in loaded.json()["detail"]
        assert client.post("/train", json={"logs": logs(60)}).status_code == 200
        assert client.post("/load-model").status_code == 200
