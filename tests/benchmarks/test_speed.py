"""scripts/speed --check: what it lets pass."""

from benchmarks.speed.command import FLOORS, below_floors


def test_what_was_measured_lies_above_every_floor_and_half_of_it_does_not() -> None:
    # README.md: 0.60 and 0.24 of the echo.
    measured = {1: 0.60, 1_000: 0.24}
    assert set(measured) == set(FLOORS)
    assert below_floors(measured) == []
    slowed = {size: 0.49 * share for size, share in measured.items()}
    assert [line.split(":")[0] for line in below_floors(slowed)] == [
        "TOO SLOW with 1 logs in a request",
        "TOO SLOW with 1,000 logs in a request",
    ]


def test_one_slow_size_is_named_with_its_share() -> None:
    (line,) = below_floors({1: 0.10, 1_000: 0.24})
    assert line == "TOO SLOW with 1 logs in a request: 0.10 of the echo, 0.3 wanted"
