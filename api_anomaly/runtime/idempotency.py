"""Idempotency keys: a retry gets the first answer, and nothing is remembered twice."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from api_anomaly.errors import IdempotencyKeyInvalid, IdempotencyKeyReused, StorageFailed
from api_anomaly.runtime.threads import in_thread, to_the_end
from api_anomaly.storage.answers import Kept, KeptAnswers

#: Longest key; the common proposal (draft-ietf-httpapi-idempotency-key-header) sends UUIDs.
KEY_CHARACTERS = 255
#: Bytes of answers that are kept in all, whatever the number of keys allows.
MOST_BYTES = 64 * 1024 * 1024
_INLINE = 256 * 1024


class _Making(NamedTuple):
    digest: bytes
    future: "asyncio.Future[bytes]"


class IdempotencyStore:
    """Answers by key, at most `keys` of them and for `seconds`; the oldest go first.

    Those still being made are not counted: there are no more of them than open requests. What is
    given is `kept` on the disk first. A disk that fails costs nobody an answer: `failed` is told,
    and the answer is kept as long as the process.
    """

    def __init__(
        self,
        keys: int,
        seconds: float,
        most_bytes: int = MOST_BYTES,
        kept: KeptAnswers | None = None,
        failed: Callable[[StorageFailed], None] = lambda _error: None,
    ) -> None:
        self._kept = kept
        self._failed = failed
        self._keys = keys
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._bytes = 0
        self._making: dict[bytes, _Making] = {}
        self._made: OrderedDict[bytes, Kept] = OrderedDict()

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._made)

    async def load(self) -> None:
        """Take over what an earlier process kept."""
        if self._kept is None:
            return
        try:
            found = await in_thread(self._kept.load, time.time(), self._seconds)
        except StorageFailed as error:
            self._failed(error)
            return
        for kept in found:
            self._add(kept)

    async def close(self) -> None:
        """Let go of the disk."""
        if self._kept is not None:
            await in_thread(self._kept.close)

    async def answer(
        self, key: bytes, body: bytes, make: Callable[[], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """The answer to `body` and whether it is an earlier one.

        A retry that arrives while the first is made waits for it. A failure is passed to those who
        wait and then forgotten. Raises IdempotencyKeyReused when `key` came with another body.
        """
        digest = await _digest(body)
        self._forget(time.time())
        earlier = self._making.get(key) or self._made.get(key)
        if earlier is None:
            return await self._make(key, digest, make), False
        if earlier.digest != digest:
            raise IdempotencyKeyReused("This Idempotency-Key came with another body before.")
        if isinstance(earlier, Kept):
            return earlier.answer, True
        return await asyncio.shield(earlier.future), True

    async def _make(self, key: bytes, digest: bytes, make: Callable[[], Awaitable[bytes]]) -> bytes:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._making[key] = _Making(digest, future)
        try:
            answer = await make()
            await self._keep(Kept(key, digest, time.time() + self._seconds, answer))
        except asyncio.CancelledError:
            future.cancel()
            raise
        except Exception as error:
            future.set_exception(error)
            future.exception()  # nobody may be waiting, and that is well
            raise
        finally:
            del self._making[key]
        future.set_result(answer)
        return answer

    async def _keep(self, kept: Kept) -> None:
        """In memory first: whatever the disk does, a retry finds it."""
        forgotten = self._add(kept)
        if self._kept is None:
            return
        try:
            await to_the_end(self._kept.put, kept, time.time(), forgotten)
        except StorageFailed as error:
            self._failed(error)

    def _add(self, kept: Kept) -> list[bytes]:
        self._made[kept.key] = kept
        self._bytes += len(kept.answer)
        return self._forget(time.time())

    def _forget(self, now: float) -> list[bytes]:
        """Drop what is too old or too much; the newest answer stays, however large it is. The keys
        that went: the disk lets go of them with the next answer, or leaves them out by their age.
        """
        gone: list[bytes] = []
        while self._made:
            oldest = next(iter(self._made.values()))
            full = len(self._made) > self._keys or self._bytes > self._most_bytes
            if oldest.until > now and not (full and len(self._made) > 1):
                break
            self._made.popitem(last=False)
            self._bytes -= len(oldest.answer)
            gone.append(oldest.key)
        return gone


def retry_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The request's Idempotency-Key, if it has one. Raises IdempotencyKeyInvalid."""
    for name, value in headers:
        if name == b"idempotency-key":
            if not 1 <= len(value) <= KEY_CHARACTERS:
                raise IdempotencyKeyInvalid(f"A key has 1 to {KEY_CHARACTERS} characters.")
            return value
    return None


def owned_key(owner: str, key: bytes) -> bytes:
    """The key under which an answer is kept: nobody can use, or find out about, another's key."""
    return sha256(owner.encode() + b"\0" + key).digest()


async def _digest(body: bytes) -> bytes:
    if len(body) <= _INLINE:
        return sha256(body).digest()
    return await in_thread(lambda: sha256(body).digest())
