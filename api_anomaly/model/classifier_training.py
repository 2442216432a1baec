"""Training of the abuse classifier: own traffic against synthetic attacks and analysts' labels."""

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.extract import actor_keys, address_keys
from api_anomaly.logs.columns import Columns
from api_anomaly.model.classifier import AbuseClassifier, SyntheticRows
from api_anomaly.model.executor import Executor, serial
from api_anomaly.model.synthetic.generate import SAMPLED_LOGS
from api_anomaly.model.synthetic.relabel import relabelled
from api_anomaly.model.training_labels import TrainingLabels

_RELABELLED_WEIGHT = 0.1  # of an own log that looks like the synthetic attacks


def train_classifier(
    history: Columns,
    own: NDArray[np.float32],
    synthetic_sets: list[SyntheticRows] | None,
    seed: int,
    labels: TrainingLabels | None = None,
    executor: Executor = serial,
) -> AbuseClassifier | None:
    """A classifier for n logs in time order with the features `own` (n, d), and synthetic attacks
    that were generated from them. Analysts' `labels` on logs take precedence over relabelling.

    None without synthetic attacks. About 8 seconds for 100,000 logs; only the latest 100,000 are
    used. Deterministic by `seed`.
    """
    if synthetic_sets is None:
        return None
    start = max(0, len(history) - SAMPLED_LOGS)
    latest, own = history.between(start, len(history)), own[start:]
    actors, addresses = actor_keys(latest), address_keys(latest)
    suspected = relabelled(own, actors, addresses, latest.time, synthetic_sets, seed, executor)
    weight = np.where(suspected, _RELABELLED_WEIGHT, 1.0)
    if labels is not None:
        weight[labels.harmless_logs[start : len(history)]] = 1.0
        hostile = labels.hostile_logs[start : len(history)]
        # If all own traffic is labelled as attacks, there is nothing else to separate attacks from.
        weight[hostile & ~hostile.all()] = 0.0
    return AbuseClassifier.train(own, actors, weight, synthetic_sets, seed, labels, executor)
