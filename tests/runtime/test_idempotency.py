"""Idempotency keys: one response for each key, also for concurrent store."""

import asyncio
from collections.abc import Coroutine
from hashlib import sha256

import numpy as np
import pytest

from api_anomaly.errors import IdempotencyKeyReused, ModelNotTrained
from api_anomaly.runtime.idempotency import (
    IdempotencyStore,
    Retry,
    StoredResponse,
    pack,
    storage_key,
    unpack,
)


class Counting:
    """Computes numbered responses while its `gate` is open."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bytes:
        self.count += 1
        number = self.count
        await self.gate.wait()
        return b"response %d" % number


def request(key: bytes, body: bytes) -> Retry:
    return Retry(key, sha256(body).digest())


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def test_a_retry_gets_the_first_response_and_another_key_its_own() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        assert await store.respond(request(b"a", b"body"), make) == (b"response 1", False)
        assert await store.respond(request(b"a", b"body"), make) == (b"response 1", True)
        assert await store.respond(request(b"b", b"body"), make) == (b"response 2", False)

    run(test())


def test_a_retry_during_the_first_request_waits_for_its_response() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        make.gate.clear()
        requests = [
            asyncio.create_task(store.respond(request(b"a", b"body"), make)) for _ in range(5)
        ]
        await asyncio.wait(requests, timeout=0)
        make.gate.set()
        assert (
            sorted(await asyncio.gather(*requests))
            == [(b"response 1", False)] + [(b"response 1", True)] * 4
        )
        assert make.count == 1

    run(test())


@pytest.mark.parametrize("running", [True, False])
def test_the_same_key_with_another_body_is_refused(running: bool) -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        if running:
            make.gate.clear()
        first = asyncio.create_task(store.respond(request(b"a", b"body"), make))
        await asyncio.wait([first], timeout=0 if running else None)
        with pytest.raises(IdempotencyKeyReused):
            await store.respond(request(b"a", b"another"), make)
        make.gate.set()
        assert await first == (b"response 1", False)

    run(test())


def test_a_failure_is_passed_to_all_waiters_and_then_forgotten() -> None:
    async def test() -> None:
        store, make, gate = IdempotencyStore(10, 60), Counting(), asyncio.Event()

        async def fail() -> bytes:
            await gate.wait()
            raise ModelNotTrained("no model")

        requests = [
            asyncio.create_task(store.respond(request(b"a", b"body"), fail)) for _ in range(3)
        ]
        await asyncio.wait(requests, timeout=0)
        gate.set()
        responses = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(response) for response in responses] == [ModelNotTrained] * 3
        assert await store.respond(request(b"a", b"body"), make) == (b"response 1", False)

    run(test())


def test_a_cancelled_first_request_leaves_the_key_free() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        make.gate.clear()
        first = asyncio.create_task(store.respond(request(b"a", b"body"), make))
        await asyncio.wait([first], timeout=0)
        first.cancel()
        await asyncio.wait([first])
        make.gate.set()
        assert await store.respond(request(b"a", b"body"), make) == (b"response 2", False)

    run(test())


def test_a_cancelled_waiter_does_not_cancel_the_others() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        make.gate.clear()
        requests = [
            asyncio.create_task(store.respond(request(b"a", b"body"), make)) for _ in range(3)
        ]
        await asyncio.wait(requests, timeout=0)
        requests[1].cancel()
        await asyncio.wait(requests[1:2])
        make.gate.set()
        assert await requests[2] == (b"response 1", True)

    run(test())


def test_responses_are_limited_in_number_time_and_bytes() -> None:
    async def test() -> None:
        make = Counting()
        few = IdempotencyStore(max_keys=2, seconds=60)
        for key in (b"a", b"b", b"c"):
            await few.respond(request(key, b"body"), make)
        assert len(few) == 2
        assert (await few.respond(request(b"c", b"body"), make))[1]
        assert not (await few.respond(request(b"a", b"body"), make))[1]
        short = IdempotencyStore(max_keys=2, seconds=1e-9)
        await short.respond(request(b"a", b"body"), make)
        assert not (await short.respond(request(b"a", b"another body"), make))[1]
        small = IdempotencyStore(max_keys=100, seconds=60, max_bytes=20)
        for key in (b"a", b"b", b"c"):
            await small.respond(request(key, b"body"), make)
        assert len(small) == 2

    run(test())


def test_the_newest_response_is_stored_however_large() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(max_keys=100, seconds=60, max_bytes=1), Counting()
        await store.respond(request(b"a", b"body"), make)
        assert (await store.respond(request(b"a", b"body"), make))[1]

    run(test())


def test_large_bodies_are_compared_too() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        body = b"x" * 1_000_000
        await store.respond(request(b"a", body), make)
        assert (await store.respond(request(b"a", body), make))[1]
        with pytest.raises(IdempotencyKeyReused):
            await store.respond(request(b"a", body + b"x"), make)

    run(test())


def test_responses_are_restored_from_the_arrays_of_a_snapshot() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        for name in (b"a", b"b"):
            await store.respond(request(storage_key("owner", name), name), make)
        assert unpack(pack(store.stored())) == store.stored()
        restored = IdempotencyStore(10, 60)
        restored.restore(unpack(pack(store.stored())))
        assert await restored.respond(request(storage_key("owner", b"b"), b"b"), make) == (
            b"response 2",
            True,
        )
        assert not (await restored.respond(request(storage_key("another", b"b"), b"b"), make))[1]

    run(test())


def test_arrays_of_another_layout_restore_nothing() -> None:
    arrays = pack([StoredResponse(bytes(32), bytes(32), 1.0, b"")])
    assert unpack({}) == unpack(arrays | {"responses": np.zeros(1)}) == []


def test_expired_and_known_responses_are_not_restored() -> None:
    async def test() -> None:
        store, make = IdempotencyStore(10, 60), Counting()
        await store.respond(request(b"a", b"body"), make)
        (known,) = store.stored()
        expired = known._replace(key=b"b", expires=known.expires - 61)
        from_the_future = known._replace(key=b"c", expires=known.expires + 61)
        store.restore([known._replace(body=b"another"), expired, from_the_future])
        assert store.stored() == [known]

    run(test())


def test_the_keys_of_owners_are_separate() -> None:
    assert storage_key("a", b"key") != storage_key("b", b"key")
    assert storage_key("a", b"key") == storage_key("a", b"key")
