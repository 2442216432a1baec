"""Idempotency keys: a retry gets the first answer, and nothing is remembered twice."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from api_anomaly.service.refusals import IdempotencyKeyInvalid, IdempotencyKeyReused
from api_anomaly.service.threads import in_thread

#: Longest key; the common proposal (draft-ietf-httpapi-idempotency-key-header) sends UUIDs.
KEY_CHARACTERS = 255
#: Bytes of answers that are kept in all, whatever the number of keys allows.
_MOST_BYTES = 64 * 1024 * 1024
_INLINE = 256 * 1024


class _Making(NamedTuple):
    digest: bytes
    future: "asyncio.Future[bytes]"


class _Made(NamedTuple):
    digest: bytes
    answer: bytes
    until: float


class Retries:
    """Answers by key, at most `keys` of them and for `seconds`; the oldest go first.

    Those still being made are not counted: there are no more of them than open requests.
    """

    def __init__(self, keys: int, seconds: float, most_bytes: int = _MOST_BYTES) -> None:
        self._keys = keys
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._bytes = 0
        self._making: dict[bytes, _Making] = {}
        self._made: OrderedDict[bytes, _Made] = OrderedDict()

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._made)

    async def answer(
        self, key: bytes, body: bytes, make: Callable[[], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """The answer to `body` and whether it is an earlier one.

        A retry that arrives while the first is made waits for it. A failure is passed to those who
        wait and then forgotten. Raises IdempotencyKeyReused when `key` came with another body.
        """
        digest = await _digest(body)
        self._forget(asyncio.get_running_loop().time())
        earlier = self._making.get(key) or self._made.get(key)
        if earlier is None:
            return await self._make(key, digest, make), False
        if earlier.digest != digest:
            raise IdempotencyKeyReused("This Idempotency-Key came with another body before.")
        if isinstance(earlier, _Made):
            return earlier.answer, True
        return await asyncio.shield(earlier.future), True

    async def _make(self, key: bytes, digest: bytes, make: Callable[[], Awaitable[bytes]]) -> bytes:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._making[key] = _Making(digest, future)
        try:
            answer = await make()
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
        self._made[key] = _Made(digest, answer, loop.time() + self._seconds)
        self._bytes += len(answer)
        self._forget(loop.time())
        return answer

    def _forget(self, now: float) -> None:
        """Drop what is too old or too much; the newest answer stays, however large it is."""
        while self._made:
            oldest = next(iter(self._made.values()))
            full = len(self._made) > self._keys or self._bytes > self._most_bytes
            if oldest.until > now and not (full and len(self._made) > 1):
                return
            self._made.popitem(last=False)
            self._bytes -= len(oldest.answer)


def retry_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The request's Idempotency-Key, if it has one. Raises IdempotencyKeyInvalid."""
    for name, value in headers:
        if name == b"idempotency-key":
            if not 1 <= len(value) <= KEY_CHARACTERS:
                raise IdempotencyKeyInvalid(f"A key has 1 to {KEY_CHARACTERS} characters.")
            return value
    return None


async def _digest(body: bytes) -> bytes:
    if len(body) <= _INLINE:
        return sha256(body).digest()
    return await in_thread(lambda: sha256(body).digest())
