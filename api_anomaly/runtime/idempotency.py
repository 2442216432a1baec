"""Idempotency keys: a retry gets the first response, and nothing is remembered twice.

Responses are kept in memory and stored in the memory snapshot, so that a response is restored
together with the memory of the logs that it describes.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.errors import IdempotencyKeyReused
from api_anomaly.runtime.threads import in_thread

#: Bytes of all stored responses, whatever the number of keys allows.
MAX_BYTES = 64 * 1024 * 1024
#: Bodies up to this size are hashed on the event loop.
_INLINE_BYTES = 256 * 1024
_RECORD = np.dtype([("key", "u1", 32), ("digest", "u1", 32), ("expires", "f8"), ("bytes", "u8")])


class StoredResponse(NamedTuple):
    """The response to a request. `key` is from `storage_key`, `digest` the SHA-256 of the request's
    body, `expires` in Unix seconds."""

    key: bytes
    digest: bytes
    expires: float
    body: bytes


class Retry(NamedTuple):
    """What identifies a request for retries: a key of `storage_key` and the body's SHA-256; both
    empty where a retry cannot be recognized. `automatic`: the client sent no key, so that the body
    is the key."""

    key: bytes
    digest: bytes
    automatic: bool = False


NO_RETRY = Retry(b"", b"")


class _Pending(NamedTuple):
    digest: bytes
    future: "asyncio.Future[StoredResponse]"


class IdempotencyStore:
    """Responses by key, at most `max_keys` of them and for `seconds`; the oldest are dropped first.

    Responses being computed are not counted; open requests bound their number.
    """

    def __init__(self, max_keys: int, seconds: float, max_bytes: int = MAX_BYTES) -> None:
        self._max_keys = max_keys
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pending: dict[bytes, _Pending] = {}
        self._stored: OrderedDict[bytes, StoredResponse] = OrderedDict()

    def __len__(self) -> int:
        """Number of stored responses."""
        return len(self._stored)

    async def respond(
        self,
        retry: Retry,
        compute: Callable[[], Awaitable[bytes]],
    ) -> tuple[bytes, bool]:
        """The response to a request, and whether it is an earlier one.

        A retry that arrives while the first response is computed waits for it. An exception is
        passed on to all who wait and then forgotten. Raises IdempotencyKeyReused if `key` came with
        another body.
        """
        key, digest, _automatic = retry
        self._evict()
        earlier = self._pending.get(key) or self._stored.get(key)
        if earlier is None:
            return await self._compute(retry, compute), False
        if earlier.digest != digest:
            raise IdempotencyKeyReused("This Idempotency-Key came with another body before.")
        if isinstance(earlier, _Pending):
            earlier = await asyncio.shield(earlier.future)
        return earlier.body, True

    def pending(self) -> "list[asyncio.Future[StoredResponse]]":
        """Responses that are being computed."""
        return [pending.future for pending in self._pending.values()]

    def stored(self) -> list[StoredResponse]:
        """Stored responses, oldest first."""
        return list(self._stored.values())

    def restore(self, responses: Iterable[StoredResponse]) -> None:
        """Add responses of an earlier process, except expired ones and those that expire later than
        a new one would: the clock was wrong. Known keys keep their response."""
        now = time.time()
        for response in responses:
            if now < response.expires <= now + self._seconds and response.key not in self._stored:
                self._add(response)

    def take(self, retry: Retry) -> bytes | None:
        """The stored response to a request, which is then forgotten; None if there is none."""
        found = self._stored.get(retry.key)
        if found is None or found.digest != retry.digest:
            return None
        del self._stored[retry.key]
        self._bytes -= len(found.body)
        return found.body

    async def _compute(self, retry: Retry, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        key, digest, _automatic = retry
        future = asyncio.get_running_loop().create_future()
        self._pending[key] = _Pending(digest, future)
        try:
            body = await compute()
        except asyncio.CancelledError:
            future.cancel()
            raise
        except Exception as error:
            future.set_exception(error)
            future.exception()  # without a waiter asyncio would report it as never retrieved
            raise
        finally:
            del self._pending[key]
        response = StoredResponse(key, digest, time.time() + self._seconds, body)
        self._add(response)
        future.set_result(response)
        return body

    def _add(self, response: StoredResponse) -> None:
        self._stored[response.key] = response
        self._bytes += len(response.body)
        self._evict()

    def remove(self, keys: Iterable[bytes]) -> int:
        """Remove the stored responses with these keys; returns how many. A retry of their requests
        is then a new request."""
        found = [key for key in keys if key in self._stored]
        for key in found:
            self._bytes -= len(self._stored.pop(key).body)
        return len(found)

    def _evict(self) -> None:
        """Drop expired and surplus responses; the newest stays, however large it is."""
        now = time.time()
        while self._stored:
            oldest = next(iter(self._stored.values()))
            surplus = len(self._stored) > self._max_keys or self._bytes > self._max_bytes
            if oldest.expires > now and not (surplus and len(self._stored) > 1):
                break
            self._stored.popitem(last=False)
            self._bytes -= len(oldest.body)


def storage_key(owner: str, key: bytes) -> bytes:
    """The key under which a response is stored: callers cannot use or discover others' keys."""
    return sha256(owner.encode() + b"\0" + key).digest()


def pack(responses: Sequence[StoredResponse]) -> dict[str, NDArray[Any]]:
    """Arrays for the memory snapshot; `unpack` is the inverse."""
    records = np.zeros(len(responses), _RECORD)
    for record, response in zip(records, responses, strict=True):
        record["key"] = np.frombuffer(response.key, np.uint8)
        record["digest"] = np.frombuffer(response.digest, np.uint8)
        record["expires"], record["bytes"] = response.expires, len(response.body)
    bodies = b"".join(response.body for response in responses)
    return {"responses": records, "response_bodies": np.frombuffer(bodies, np.uint8)}


def unpack(arrays: Mapping[str, NDArray[Any]]) -> list[StoredResponse]:
    """Responses out of arrays of `pack`; none if the arrays are missing or of another layout."""
    records, bodies = arrays.get("responses"), arrays.get("response_bodies")
    if records is None or bodies is None or records.dtype != _RECORD:
        return []
    ends = np.cumsum(records["bytes"]).tolist()
    return [
        StoredResponse(
            record["key"].tobytes(),
            record["digest"].tobytes(),
            float(record["expires"]),
            bodies[end - int(record["bytes"]) : end].tobytes(),
        )
        for record, end in zip(records, ends, strict=True)
    ]


async def retry_of(owner: str, key: bytes, body: bytes) -> Retry:
    """What identifies a request of `owner` with the given key and body."""
    return Retry(storage_key(owner, key), await _digest(body))


async def _digest(body: bytes) -> bytes:
    if len(body) <= _INLINE_BYTES:
        return sha256(body).digest()
    return await in_thread(lambda: sha256(body).digest())
