"""The lessons of this service: kept on disk before they are learnt from, forgotten in time."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.table import SCHEMA
from api_anomaly.feedback.rescoring import Feedback
from api_anomaly.feedback.labels import LABEL, alive, latest
from api_anomaly.model.bundle import Model
from api_anomaly.errors import StorageFailed
from api_anomaly.telemetry.journal import Journal
from api_anomaly.runtime.threads import in_thread, to_the_end
from api_anomaly.storage.label_file import FeedbackFile, Kept

_DAY = 86_400.0
#: Lessons that no longer count before the file is written anew without them, as a multiple of all
#: that may count.
_CLUTTER = 2


class LabelCounts(NamedTuple):
    """Lessons by whether they still count: `active` ones, those that are `expired` (too old, or
    more than are kept), those that a later verdict on the same anomaly `replaced`, and those of
    `other` behaviours than today's; the `users` that active ones are about, and when the last one
    was given, in Unix seconds."""

    false_positives: int
    true_positives: int
    expired: int
    replaced: int
    other: int
    users: int
    last: float | None


class LabelStore:
    """At most `most` lessons, for `days` each. Hold `lock` while lessons and what is made of them
    have to stay together: while lessons are added, and while a model begins to be served."""

    def __init__(
        self,
        file: FeedbackFile,
        days: float,
        most: int,
        journal: Journal,
        clock: Callable[[], float] = time.time,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._failed = failed
        self.lock = asyncio.Lock()
        self._file = file
        self._seconds = days * _DAY
        self._most = most
        self._journal = journal
        self._clock = clock
        self._written: list[Kept] = []
        self._labels = np.zeros(0, LABEL)
        self._next_end = np.inf

    async def open(self) -> None:
        """Read what is kept, and write it anew: without what no longer counts, and under the key
        that signs now, so that an older key can go. What does not verify is set aside, and the
        journal says so; a file that cannot be read leaves no lessons."""
        try:
            self._written, damaged = await in_thread(self._file.read)
        except StorageFailed as error:
            self._failed()
            self._journal.warning("feedback not read", error=error.code, reason=str(error))
            return
        if damaged:
            self._failed()
            self._journal.warning(
                "feedback damaged: its end was set aside", file="feedback.damaged"
            )
        today = [kept.labels for kept in self._written if _is_todays(kept)]
        self._labels = np.concatenate([self._labels, *today])
        self._expires()
        if self._written:
            await self._tidy()
            self._journal.info("feedback read", labels=len(self.active()))

    def active(self) -> NDArray[Any]:
        """The lessons that count now, oldest first."""
        return alive(latest(self._labels), self._clock(), self._seconds, self._most)

    @property
    def stale(self) -> bool:
        """Whether a lesson has expired since `feedback_for` was asked last."""
        return self._clock() >= self._next_end

    async def feedback_for(self, model: Model) -> Feedback | None:
        """What the lessons that count now make of the evidence of `model`; None without any."""
        labels = self.active()
        self._expires()
        if len(labels) == 0:
            return None
        return await in_thread(Feedback.of, model, labels)

    async def add(self, labels: NDArray[Any]) -> None:
        """Keep more lessons, wholly or not at all: on the disk, then here. Raises StorageFailed."""
        kept = Kept(SCHEMA, labels)
        await to_the_end(self._file.append, [kept])
        self._written.append(kept)
        self._labels = np.concatenate([self._labels, labels])
        self._expires()
        if sum(len(kept.labels) for kept in self._written) > _CLUTTER * self._most:
            await self._tidy()

    def verdicts_on(self, anomalies: NDArray[Any]) -> list[bool | None]:
        """The verdict that counts on each of some ids (m,): hostile or not; None without one."""
        active = self.active()
        verdicts = dict(zip(active["anomaly"].tolist(), active["hostile"].tolist(), strict=True))
        return [verdicts.get(name) for name in anomalies.tolist()]

    def counted(self) -> LabelCounts:
        """All lessons that are kept, by whether they count."""
        active, last = self.active(), latest(self._labels)
        hostile = int(active["hostile"].sum())
        return LabelCounts(
            false_positives=len(active) - hostile,
            true_positives=hostile,
            expired=len(last) - len(active),
            replaced=len(self._labels) - len(last),
            other=sum(len(kept.labels) for kept in self._written if not _is_todays(kept)),
            users=len(np.unique(active["user"])),
            last=float(self._labels["given"].max()) if len(self._labels) else None,
        )

    def _expires(self) -> None:
        active = self.active()
        self._next_end = float(active["given"].min()) + self._seconds if len(active) else np.inf

    async def _tidy(self) -> None:
        """Write the file anew without what no longer counts; a failure leaves it as it is."""
        other = [kept for kept in self._written if not _is_todays(kept)]
        kept = [*other, Kept(SCHEMA, self.active())]
        try:
            await to_the_end(self._file.replace, kept)
        except StorageFailed as error:
            self._failed()
            self._journal.warning("feedback not tidied", error=error.code, reason=str(error))
            return
        self._written, self._labels = kept, kept[-1].labels


def _is_todays(kept: Kept) -> bool:
    return kept.schema == SCHEMA and kept.labels.dtype == LABEL
