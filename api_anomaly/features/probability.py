"""Shares and surprise: how unlikely an event was, estimated from few observations."""

import math

from api_anomaly.kernels import kernel

#: Bits of a nat.
LOG2E = math.log2(math.e)
_LEAST_PROBABILITY = 1e-9


@kernel
def share(part: float, whole: float, prior: float) -> float:
    """part / (whole + prior): a share that stays near 0 until about `prior` events were seen."""
    return part / (whole + prior)


@kernel
def surprise(part: float, whole: float, expected: float, strength: float) -> float:
    """Bits >= 0: -log2 of the probability (part + strength * expected) / (whole + strength).

    `expected` is the probability before any observation and `strength` how many observations it is
    worth (Dirichlet prior).
    """
    probability = (part + strength * expected) / (whole + strength)
    return max(0.0, -math.log(max(probability, _LEAST_PROBABILITY)) * LOG2E)
