"""One training at a time; the served model changes only if everything succeeded."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.logs.columns import Columns
from api_anomaly.detector import Detections, Detector
from api_anomaly.errors import ModelNotTrained, StorageFailed, TooFewLogs, TrainingInProgress
from api_anomaly.runtime.state import AppState
from api_anomaly.runtime.training import Quality, measure


@pytest.mark.parametrize(
    ("flagged", "labels", "quality"),
    [
        pytest.param([1, 0, 0, 0], [None] * 4, (0.75, None, None), id="without labels"),
        pytest.param([1, 0, 1, 1, 0], [1, 1, 0, None, 0], (0.5, 0.5, 0.5), id="some labels"),
        pytest.param([0, 0], [0, 0], (1.0, None, None), id="nothing flagged, no attack"),
        pytest.param([0, 0], [0, 1], (0.5, None, 0.0), id="nothing flagged"),
        pytest.param([1, 0], [0, 0], (0.5, 0.0, None), id="no attack"),
    ],
)
def test_quality_is_measured_on_labelled_logs_and_null_when_undefined(
    flagged: list[int], labels: list[float | None], quality: Quality
) -> None:
    assert measure(np.array(flagged, np.bool_), np.array(labels, np.float64)) == quality


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, None]), st.booleans()), min_size=1))
def test_quality_agrees_with_counting_by_hand(rows: list[tuple[float | None, bool]]) -> None:
    labels = np.array([label for label, _ in rows], np.float64)
    flagged = np.array([flag for _, flag in rows], np.bool_)
    measured = measure(flagged, labels)
    labelled = [(label == 1.0, flag) for label, flag in rows if label is not None]
    if not labelled:
        assert measured == (1.0 - flagged.mean(), None, None)
        return
    hits = sum(attack and flag for attack, flag in labelled)
    flags, attacks = sum(f for _, f in labelled), sum(a for a, _ in labelled)
    assert measured.accuracy == pytest.approx(sum(a == f for a, f in labelled) / len(labelled))
    assert measured.precision == (hits / flags if flags else None)
    assert measured.recall == (hits / attacks if attacks else None)


def test_a_second_training_is_refused_while_one_runs(with_state, history) -> None:
    async def test(state: AppState) -> None:
        async with state.registry.lock:  # the first cannot end before this block does
            first = asyncio.create_task(state.training.run(history(100)))
            await asyncio.wait([first], timeout=0)
            assert state.training.running
            with pytest.raises(TrainingInProgress):
                await state.training.run(history(100))
            assert state.training.running
        assert (await first).facts.training_samples == 100
        assert not state.training.running

    with_state(test)


def test_a_failed_training_leaves_the_served_model(with_state, history) -> None:
    async def test(state: AppState) -> None:
        version = (await state.training.run(history(100))).version
        with pytest.raises(TooFewLogs):
            await state.training.run(history(9))
        assert state.registry.require().manifest.version == version
        assert state.training.last is not None
        assert (state.training.last.outcome, state.training.last.error) == (
            "failed",
            "too_few_logs",
        )

    with_state(test)


def test_a_model_that_cannot_be_stored_is_not_served(with_state, history, tmp_path: Path) -> None:
    async def test(state: AppState) -> None:
        (tmp_path / "models" / "versions").write_text("a file where the folder should be")
        with pytest.raises(StorageFailed):
            await state.training.run(history(100))
        with pytest.raises(ModelNotTrained):
            state.registry.require()
        (tmp_path / "models" / "versions").unlink()
        await state.training.run(history(100))
        assert state.registry.require()

    with_state(test)


def test_logs_after_the_history_are_still_remembered_after_training(
    with_state, history, logs, columns
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        before = state.registry.require().detector.memory.entities["actors"]
        late = logs(5, start=1_700_900_000.0)
        for number, log in enumerate(late):
            log |= {"user_id": f"newcomer-{number}", "ip_address": f"198.51.100.{number}"}
        await state.registry.observe(columns(late), None, True)
        await state.training.run(history(100))
        assert state.registry.require().detector.memory.entities["actors"] == before + 10

    with_state(test)


def test_concurrent_small_and_large_batches_are_all_scored(
    with_state, history, logs, columns
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        sizes = [1, 400, 16, 17, 1, 900, 3]
        batches = [columns(logs(size, seed=size)) for size in sizes]
        results = await asyncio.gather(
            *(state.registry.observe(batch, None, True) for batch in batches)
        )
        assert [len(detections.scores) for _, detections in results] == sizes

    with_state(test)


def test_a_cancelled_large_batch_ends_before_the_next_batch_is_scored(
    with_state, history, logs, columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[int] = []
    begun, cancelled, observe = threading.Event(), threading.Event(), Detector.detect

    def observe_held(detector: Detector, batch: Columns, *rest: Any) -> Detections:
        begun.set()
        assert len(batch) == 1 or cancelled.wait(60)
        detections = observe(detector, batch, *rest)
        finished.append(len(batch))
        return detections

    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        monkeypatch.setattr(Detector, "detect", observe_held)
        large = asyncio.create_task(state.registry.observe(columns(logs(1_000)), None, True))
        while not begun.is_set():
            await asyncio.sleep(0)
        large.cancel()
        cancelled.set()
        _, detections = await state.registry.observe(columns(logs(1)), None, False)
        assert large.cancelled()
        assert finished == [1_000, 1]
        assert len(detections.scores) == 1

    with_state(test)


def test_a_stop_during_a_snapshot_writes_another_snapshot(
    with_state, history, logs, columns, tmp_path: Path
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))  # requests a snapshot, which begins now
        async with state.registry.lock:
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0))])
            late = asyncio.create_task(state.registry.observe(columns(strangers), None, True))
            await asyncio.wait([late], timeout=0)
        await late
        remembered.append(state.registry.require().detector.memory.entities)

    remembered: list[dict[str, int]] = []
    strangers = logs(3, start=1_700_900_000.0)
    for number, log in enumerate(strangers):
        log |= {"user_id": f"stranger-{number}", "ip_address": None}
    with_state(test)

    async def again(state: AppState) -> None:
        assert state.registry.require().detector.memory.entities == remembered[0]

    with_state(again)
    assert remembered[0]["actors"] > 16
