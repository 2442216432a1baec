"""Idempotency keys: one answer for each, however often and however fast one asks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from api_anomaly.errors import IdempotencyKeyInvalid, IdempotencyKeyReused, ModelNotTrained
from api_anomaly.runtime.idempotency import IdempotencyStore, retry_key

Make = Callable[[], Awaitable[bytes]]


class Counting:
    """Makes numbered answers, each when its `gate` is open."""

    def __init__(self) -> None:
        self.made = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bytes:
        self.made += 1
        number = self.made
        await self.gate.wait()
        return b"answer %d" % number


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def test_a_retry_gets_the_first_answer_and_another_key_its_own() -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(10, 60), Counting()
        assert await retries.answer(b"a", b"body", make) == (b"answer 1", False)
        assert await retries.answer(b"a", b"body", make) == (b"answer 1", True)
        assert await retries.answer(b"b", b"body", make) == (b"answer 2", False)

    run(test())


def test_a_retry_that_comes_while_the_first_runs_waits_for_its_answer() -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(10, 60), Counting()
        make.gate.clear()
        asked = [asyncio.create_task(retries.answer(b"a", b"body", make)) for _ in range(5)]
        await asyncio.wait(asked, timeout=0)
        make.gate.set()
        assert (
            sorted(await asyncio.gather(*asked))
            == [(b"answer 1", False)] + [(b"answer 1", True)] * 4
        )
        assert make.made == 1

    run(test())


@pytest.mark.parametrize("running", [True, False])
def test_the_same_key_with_another_body_is_refused(running: bool) -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(10, 60), Counting()
        if running:
            make.gate.clear()
        first = asyncio.create_task(retries.answer(b"a", b"body", make))
        await asyncio.wait([first], timeout=0 if running else None)
        with pytest.raises(IdempotencyKeyReused):
            await retries.answer(b"a", b"another", make)
        make.gate.set()
        assert await first == (b"answer 1", False)

    run(test())


def test_a_failure_reaches_all_who_wait_and_is_then_forgotten() -> None:
    async def test() -> None:
        retries, make, gate = IdempotencyStore(10, 60), Counting(), asyncio.Event()

        async def fail() -> bytes:
            await gate.wait()
            raise ModelNotTrained("no model")

        asked = [asyncio.create_task(retries.answer(b"a", b"body", fail)) for _ in range(3)]
        await asyncio.wait(asked, timeout=0)
        gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ModelNotTrained] * 3
        assert await retries.answer(b"a", b"body", make) == (b"answer 1", False)

    run(test())


def test_a_cancelled_first_request_leaves_the_key_free() -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(10, 60), Counting()
        make.gate.clear()
        first = asyncio.create_task(retries.answer(b"a", b"body", make))
        await asyncio.wait([first], timeout=0)
        first.cancel()
        await asyncio.wait([first])
        make.gate.set()
        assert await retries.answer(b"a", b"body", make) == (b"answer 2", False)

    run(test())


def test_a_waiter_that_gives_up_does_not_take_the_answer_from_the_others() -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(10, 60), Counting()
        make.gate.clear()
        asked = [asyncio.create_task(retries.answer(b"a", b"body", make)) for _ in range(3)]
        await asyncio.wait(asked, timeout=0)
        asked[1].cancel()
        await asyncio.wait(asked[1:2])
        make.gate.set()
        assert await asked[2] == (b"answer 1", True)

    run(test())


def test_answers_are_bounded_in_number_time_and_bytes() -> None:
    async def test() -> None:
        make = Counting()
        few = IdempotencyStore(keys=2, seconds=60)
        for key in (b"a", b"b", b"c"):
            await few.answer(key, b"body", make)
        assert len(few) == 2
        assert (await few.answer(b"c", b"body", make))[1]
        assert not (await few.answer(b"a", b"body", make))[1]
        short = IdempotencyStore(keys=2, seconds=1e-9)
        await short.answer(b"a", b"body", make)
        assert not (await short.answer(b"a", b"another body", make))[1]
        small = IdempotencyStore(keys=100, seconds=60, most_bytes=20)
        for key in (b"a", b"b", b"c"):
            await small.answer(key, b"body", make)
        assert len(small) == 2

    run(test())


def test_the_newest_answer_stays_however_large() -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(keys=100, seconds=60, most_bytes=1), Counting()
        await retries.answer(b"a", b"body", make)
        assert (await retries.answer(b"a", b"body", make))[1]

    run(test())


def test_a_large_body_is_told_apart_too() -> None:
    async def test() -> None:
        retries, make = IdempotencyStore(10, 60), Counting()
        body = b"x" * 1_000_000
        await retries.answer(b"a", body, make)
        assert (await retries.answer(b"a", body, make))[1]
        with pytest.raises(IdempotencyKeyReused):
            await retries.answer(b"a", body + b"x", make)

    run(test())


@pytest.mark.parametrize("value", [b"", b"x" * 256])
def test_an_empty_or_long_key_is_refused(value: bytes) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        retry_key([(b"idempotency-key", value)])


def test_a_key_is_found_among_the_headers() -> None:
    assert retry_key([(b"host", b"x"), (b"idempotency-key", b"k")]) == b"k"
    assert retry_key([(b"host", b"x")]) is None
