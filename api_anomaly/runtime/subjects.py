"""The use case of DELETE /subjects/{subject}: forget one user or one address."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from api_anomaly.errors import StorageFailed
from api_anomaly.features.extract import subject_keys
from api_anomaly.logs.column_logs import address_text
from api_anomaly.logs.columns import address_words
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.idempotency import IdempotencyStore, StoredResponse
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.snapshots import SnapshotService
from api_anomaly.runtime.threads import in_thread, in_thread_uncancelled
from api_anomaly.runtime.training import TrainingService
from api_anomaly.telemetry.journal import Journal

#: Removes the logs of a user or an address from the history; returns how many.
RemoveFromHistory = Callable[[str], Awaitable[int]]

#: A person in a response, as JSON text. A quote within a text is escaped, so no text looks like it.
_PERSON = re.compile(rb'"(user_id|ip_address)":("(?:[^"\\]|\\.)*")')
_LASTING = (
    "What these logs added to sums (the baselines of endpoints, of peers and of all traffic,"
    " the served model) cannot be taken out; a training without them replaces it."
)
_NO_MODEL = "No model is served, so a memory that is kept on disk, if any, stays as it is."


class SubjectRemoved(NamedTuple):
    """What was removed: records of the memory, verdicts, recent anomalies, stored responses, and
    logs of the history. `note` says what stays."""

    memory_records: int
    verdicts: int
    anomalies: int
    responses: int
    history_logs: int
    note: str


class _Subject(NamedTuple):
    """The forms in which a subject may be kept, as a user and as an address."""

    users: tuple[str, ...]
    addresses: tuple[str, ...]


async def _no_history(_subject: str) -> int:
    return 0


class SubjectService:
    """Removes what the service keeps of one user or address."""

    def __init__(
        self,
        pseudonyms: Pseudonyms | None,
        registry: ModelRegistry,
        feedback: FeedbackService,
        responses: IdempotencyStore,
        training: TrainingService,
        snapshots: SnapshotService,
        journal: Journal,
        remove_from_history: RemoveFromHistory = _no_history,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._registry = registry
        self._feedback = feedback
        self._responses = responses
        self._training = training
        self._snapshots = snapshots
        self._journal = journal
        self._remove_from_history = remove_from_history

    async def remove(self, subject: str) -> SubjectRemoved:
        """Remove a user or an address, as it is in the logs that are sent, or a user's pseudonym.

        On return the files have been written without it. It can be repeated. Raises
        TrainingInProgress, because a training would bring it back, and StorageFailed; then a part
        may have been removed.
        """
        with self._training.reserved():
            removed = await self._remove(_forms_of(subject, self._pseudonyms))
        self._journal.info("subject removed", **_counts(removed))
        return removed

    async def _remove(self, subject: _Subject) -> SubjectRemoved:
        actors = subject_keys(subject.users, subject.addresses)
        verdicts = await self._feedback.remove_verdicts(actors)
        async with self._registry.lock:
            served = self._registry.served
            records = 0
            if served is not None:
                records = await in_thread_uncancelled(served.detector.memory.forget, actors)
            anomalies = self._feedback.anomalies.remove(actors)
            pending = self._responses.pending()
        if pending:  # they may be about logs that were scored before
            await asyncio.wait(pending)
        stored = self._responses.stored()
        responses = self._responses.remove(await in_thread(_keys_about, stored, subject))
        # Before the history: a start adds to the memory of the snapshot what came after it.
        if not await self._snapshots.save(self._registry):
            raise StorageFailed("Removed, but the memory on disk could not be replaced. Repeat it.")
        logs = 0
        for text in dict.fromkeys((*subject.users, *subject.addresses)):
            logs += await self._remove_from_history(text)
        note = _LASTING if served is not None else f"{_LASTING} {_NO_MODEL}"
        return SubjectRemoved(records, verdicts, anomalies, responses, logs, note)


def _counts(removed: SubjectRemoved) -> dict[str, int]:
    counts = removed._asdict()
    del counts["note"]
    return counts


def _forms_of(subject: str, pseudonyms: Pseudonyms | None) -> _Subject:
    """With pseudonyms: an address is its pseudonym, and as it is it would be somebody else's. A
    user is its pseudonym, or what was kept before there was a key, or already a pseudonym."""
    is_address = _is_address(subject)
    addresses = (address_text(*address_words(subject)) or "",) if is_address else ()
    if pseudonyms is None:
        return _Subject((subject,), addresses)
    users = (pseudonyms.user(subject), *(() if is_address else (subject,)))
    return _Subject(users, tuple(map(pseudonyms.address, addresses)))


def _is_address(text: str) -> bool:
    try:
        return address_words(text) != (0, 0)
    except ValueError:
        return False


def _keys_about(responses: Sequence[StoredResponse], subject: _Subject) -> list[bytes]:
    """The keys of those of `responses` that name the subject."""
    users = {msgspec.json.encode(user) for user in subject.users}
    addresses = {address_words(address) for address in subject.addresses}

    def is_named(field: bytes, value: bytes) -> bool:
        if field == b"user_id":
            return value in users
        text = msgspec.json.decode(value)
        return _is_address(text) and address_words(text) in addresses

    return [
        response.key
        for response in responses
        if any(is_named(*person) for person in set(_PERSON.findall(response.body)))
    ]
