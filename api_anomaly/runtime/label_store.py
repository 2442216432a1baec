"""The labels that analysts gave: stored on disk before they are used, dropped when they expire."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.errors import StorageFailed
from api_anomaly.features.table import SCHEMA
from api_anomaly.feedback.labels import LABEL, is_about, latest, select_active
from api_anomaly.feedback.rescoring import Rescoring
from api_anomaly.model.bundle import Model
from api_anomaly.runtime.threads import in_thread, in_thread_uncancelled
from api_anomaly.storage.label_file import LabelFile, LabelRecord
from api_anomaly.telemetry.journal import Journal

_DAY_SECONDS = 86_400.0
#: The file is rewritten without dropped labels when it holds this many times `max_labels`.
_REWRITE_FACTOR = 2


class LabelCounts(NamedTuple):
    """Stored labels. Active ones are used; others are `expired` (too old or too many), `replaced`
    by a later verdict on the same anomaly, or `incompatible` (of other features). `users` are those
    whom active labels are about; `last` is when the last label was given, in Unix seconds."""

    false_positives: int
    true_positives: int
    expired: int
    replaced: int
    incompatible: int
    users: int
    last: float | None

    @property
    def active(self) -> int:
        """Labels in use."""
        return self.false_positives + self.true_positives


class LabelStore:
    """At most `max_labels` labels, for `days` each.

    Hold `lock` while labels are added and while a model is replaced, so that the served model
    always uses all labels. `on_failure` is called when the disk fails.
    """

    def __init__(
        self,
        file: LabelFile,
        days: float,
        max_labels: int,
        journal: Journal,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.lock = asyncio.Lock()
        self._file = file
        self._seconds = days * _DAY_SECONDS
        self._max_labels = max_labels
        self._journal = journal
        self._clock = clock
        self._on_failure = on_failure
        self._records: list[LabelRecord] = []
        self._labels = np.zeros(0, LABEL)
        self._next_expiry = np.inf

    async def load(self) -> None:
        """Read the file and rewrite it without dropped labels, sealed with the current signing key.

        What does not verify is set aside in a file of its own. If the file cannot be read there are
        no labels. Both are reported.
        """
        try:
            self._records, damaged = await in_thread(self._file.read)
        except StorageFailed as error:
            self._on_failure()
            self._journal.warning("feedback not read", error=error.code, reason=str(error))
            return
        if damaged:
            self._on_failure()
            self._journal.warning(
                "feedback damaged: its end was set aside", file="feedback.damaged"
            )
        compatible = [record.labels for record in self._records if _is_compatible(record)]
        self._labels = np.concatenate([self._labels, *compatible])
        self._update_expiry()
        if self._records:
            await self._rewrite()
            self._journal.info("feedback read", labels=len(self.active()))

    def active(self) -> NDArray[Any]:
        """The labels in use, oldest first."""
        return select_active(latest(self._labels), self._clock(), self._seconds, self._max_labels)

    @property
    def has_expired(self) -> bool:
        """Whether a label has expired since the last call of `rescoring_for`."""
        return self._clock() >= self._next_expiry

    async def rescoring_for(self, model: Model) -> Rescoring | None:
        """The rescoring that active labels give with `model`; None without any."""
        labels = self.active()
        self._update_expiry()
        if len(labels) == 0:
            return None
        return await in_thread(Rescoring.of, model, labels)

    async def add(self, labels: NDArray[Any]) -> None:
        """Store more labels, all or none. Raises StorageFailed."""
        record = LabelRecord(SCHEMA, labels)
        await in_thread_uncancelled(self._file.append, [record])
        self._records.append(record)
        self._labels = np.concatenate([self._labels, labels])
        self._update_expiry()
        if _count(self._records) > _REWRITE_FACTOR * self._max_labels:
            await self._rewrite()

    async def remove(self, actors: NDArray[np.uint64]) -> int:
        """Remove the labels about users and addresses with these keys, also from the file; returns
        how many. The caller holds `lock`. Raises StorageFailed; then all stay."""
        kept = [
            LabelRecord(record.schema, record.labels[~is_about(record.labels, actors)])
            for record in self._records
        ]
        removed = _count(self._records) - _count(kept)
        if removed:
            kept = [record for record in kept if len(record.labels)]
            await in_thread_uncancelled(self._file.replace, kept)
            self._records = kept
            compatible = [record.labels for record in kept if _is_compatible(record)]
            self._labels = np.concatenate([np.zeros(0, LABEL), *compatible])
            self._update_expiry()
        return removed

    def verdicts_on(self, anomalies: NDArray[Any]) -> list[bool | None]:
        """The active verdict on each of some ids (m,): hostile or not; None without one."""
        active = self.active()
        verdicts = dict(zip(active["anomaly"].tolist(), active["hostile"].tolist(), strict=True))
        return [verdicts.get(anomaly_id) for anomaly_id in anomalies.tolist()]

    def counts(self) -> LabelCounts:
        """Stored labels by their state."""
        active, last = self.active(), latest(self._labels)
        hostile = int(active["hostile"].sum())
        incompatible = [record for record in self._records if not _is_compatible(record)]
        return LabelCounts(
            false_positives=len(active) - hostile,
            true_positives=hostile,
            expired=len(last) - len(active),
            replaced=len(self._labels) - len(last),
            incompatible=sum(len(record.labels) for record in incompatible),
            users=len(np.unique(active["user"])),
            last=float(self._labels["given"].max()) if len(self._labels) else None,
        )

    def _update_expiry(self) -> None:
        given = self.active()["given"]
        self._next_expiry = float(given.min()) + self._seconds if len(given) else np.inf

    async def _rewrite(self) -> None:
        """Rewrite the file without dropped labels; a failure leaves it as it is."""
        records = [record for record in self._records if not _is_compatible(record)]
        records.append(LabelRecord(SCHEMA, self.active()))
        try:
            await in_thread_uncancelled(self._file.replace, records)
        except StorageFailed as error:
            self._on_failure()
            self._journal.warning("feedback not rewritten", error=error.code, reason=str(error))
            return
        self._records, self._labels = records, records[-1].labels


def _count(records: Sequence[LabelRecord]) -> int:
    return sum(len(record.labels) for record in records)


def _is_compatible(record: LabelRecord) -> bool:
    return record.schema == SCHEMA and record.labels.dtype == LABEL
