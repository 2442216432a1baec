"""One training at a time, measured honestly; the served model changes only when all went well."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.logs.columns import Columns
from api_anomaly.detector import Detections, Detector
from api_anomaly.model.fit import TrainingFacts
from api_anomaly.errors import ModelNotTrained, StorageFailed, TooFewLogs, TrainingInProgress
from api_anomaly.logs.decode import TrainRequest
from api_anomaly.runtime.state import AppState, running
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.settings import Settings
from api_anomaly.runtime.training import quality_of


def facts(held_out: list[int], flagged: list[bool]) -> TrainingFacts:
    """The facts of a training that held out these rows and flagged some."""
    return TrainingFacts(
        training_samples=100,
        train_anomalies=0,
        test_anomalies=sum(flagged),
        accuracy=1 - sum(flagged) / len(flagged),
        threshold=-0.6,
        feature_count=3,
        held_out=np.array(held_out, np.int64),
        held_out_flagged=np.array(flagged, np.bool_),
    )


def test_without_labels_accuracy_is_the_share_left_unflagged() -> None:
    measured = quality_of(facts([1, 2, 3, 4], [True, False, False, False]), np.full(9, np.nan))
    assert measured == (0.75, None, None)


def test_only_labelled_held_out_logs_count() -> None:
    labels = np.array([1.0, 1.0, 0.0, np.nan, 0.0, 1.0])
    measured = quality_of(facts([5, 1, 2, 3, 4], [True, False, True, True, False]), labels)
    assert measured == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("labels", "flagged", "precision", "recall"),
    [
        ([0.0, 0.0], [False, False], None, None),
        ([0.0, 1.0], [False, False], None, 0.0),
        ([0.0, 0.0], [True, False], 0.0, None),
    ],
)
def test_precision_and_recall_are_null_when_undefined(
    labels: list[float], flagged: list[bool], precision: float | None, recall: float | None
) -> None:
    assert quality_of(facts([0, 1], flagged), np.array(labels))[1:] == (precision, recall)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, None]), st.booleans()), min_size=1))
def test_quality_agrees_with_counting_by_hand(rows: list[tuple[float | None, bool]]) -> None:
    labels = np.array([label for label, _ in rows], np.float64)
    given_facts = facts(list(range(len(rows))), [flagged for _, flagged in rows])
    measured = quality_of(given_facts, labels)
    known = [(label == 1.0, flagged) for label, flagged in rows if label is not None]
    if not known:
        assert measured == (given_facts.accuracy, None, None)
        return
    hits = sum(attack and flagged for attack, flagged in known)
    flags, attacks = sum(f for _, f in known), sum(a for a, _ in known)
    assert measured.accuracy == pytest.approx(sum(a == f for a, f in known) / len(known))
    assert measured.precision == (hits / flags if flags else None)
    assert measured.recall == (hits / attacks if attacks else None)


Test = Callable[[AppState], Awaitable[None]]


@pytest.fixture()
def with_state(tmp_path: Path) -> Callable[[Test], None]:
    """Runs a coroutine with the state of a started service."""
    chosen = Settings(
        auth_token=("token",),
        model_path=tmp_path / "models" / "isolation_forest.pkl",
        scaler_path=tmp_path / "models" / "scaler.pkl",
        log_file=tmp_path / "journal.log",
        memory_entities=500,
        forest_trees=10,
        inline_logs=16,
    )

    @asynccontextmanager
    async def started() -> AsyncIterator[AppState]:
        journal = Journal(chosen.log_level, chosen.log_file)
        try:
            async with running(chosen, Metrics(), journal) as state:
                yield state
        finally:
            journal.close()

    def run(test: Test) -> None:
        async def whole() -> None:
            async with started() as state:
                await test(state)

        asyncio.run(whole())

    return run


@pytest.fixture()
def history(logs, columns) -> Callable[[int], TrainRequest]:
    return lambda count: TrainRequest(columns(logs(count)), np.full(count, np.nan), 0.2)


def test_a_second_training_is_refused_while_one_runs(with_state, history) -> None:
    async def test(state: AppState) -> None:
        async with state.detection.lock:  # the first cannot end before this block does
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
        assert state.detection.model().manifest.version == version
        assert state.training.ended is not None
        assert (state.training.ended.outcome, state.training.ended.error) == (
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
            state.detection.model()
        (tmp_path / "models" / "versions").unlink()
        await state.training.run(history(100))
        assert state.detection.model()

    with_state(test)


def test_what_was_seen_since_the_history_is_still_remembered_after_training(
    with_state, history, logs, columns
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        before = state.detection.model().detector.memory.entities["actors"]
        late = logs(5, start=1_700_900_000.0)
        for number, log in enumerate(late):
            log |= {"user_id": f"newcomer-{number}", "ip_address": f"198.51.100.{number}"}
        await state.detection.observe(columns(late), None, True)
        await state.training.run(history(100))
        assert state.detection.model().detector.memory.entities["actors"] == before + 10

    with_state(test)


def test_small_and_large_batches_at_once_are_all_remembered(
    with_state, history, logs, columns
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        sizes = [1, 400, 16, 17, 1, 900, 3]
        batches = [columns(logs(size, seed=size)) for size in sizes]
        extraction = await asyncio.gather(
            *(state.detection.observe(batch, None, True) for batch in batches)
        )
        assert [len(verdicts.scores) for _, verdicts in extraction] == sizes

    with_state(test)


def test_a_cancelled_large_batch_is_finished_before_the_next_one_begins(
    with_state, history, logs, columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[int] = []
    cancelled, judge = threading.Event(), Detector.detect

    def held(detector: Detector, batch: Columns, *rest: Any) -> Detections:
        assert len(batch) == 1 or cancelled.wait(60)
        verdicts = judge(detector, batch, *rest)
        finished.append(len(batch))
        return verdicts

    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        monkeypatch.setattr(Detector, "detect", held)
        large = asyncio.create_task(state.detection.observe(columns(logs(1_000)), None, True))
        await asyncio.wait([large], timeout=0)
        large.cancel()
        cancelled.set()
        _, verdicts = await state.detection.observe(columns(logs(1)), None, False)
        assert large.cancelled()
        assert finished == [1_000, 1]
        assert len(verdicts.scores) == 1

    with_state(test)


def test_a_stop_while_a_snapshot_is_written_keeps_the_memory_once_more(
    with_state, history, logs, columns, tmp_path: Path
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))  # wants a snapshot, which begins now
        async with state.detection.lock:
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0))])
            late = asyncio.create_task(state.detection.observe(columns(strangers), None, True))
            await asyncio.wait([late], timeout=0)
        await late
        remembered.append(state.detection.model().detector.memory.entities)

    remembered: list[dict[str, int]] = []
    strangers = logs(3, start=1_700_900_000.0)
    for number, log in enumerate(strangers):
        log |= {"user_id": f"stranger-{number}", "ip_address": None}
    with_state(test)

    async def again(state: AppState) -> None:
        assert state.detection.model().detector.memory.entities == remembered[0]

    with_state(again)
    assert remembered[0]["actors"] > 16
