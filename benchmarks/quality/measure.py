"""One data set: the figures of every contender, as tables with one row per figure and key.

sizes          logs, training, attacks, benign, attackers, benign_entities, days
accuracy       by counting and contender: found, false_positives at its own threshold, then
               average_precision and recall_at_R for each false-positive rate R
curves         by counting and contender: false positives at each recall (the column's name)
comparisons    by counting, contender and rule set: attacks that the rules find, false positives
               of the rules, and of the contender at the same recall
samples        the same two false positives on bootstrap samples (columns 0, 1, ...); `of` says
               whose they are
families       by contender and attack family: entities and logs, and how many were found (own:
               at the own threshold; at_rate: when BUDGET of benign requests are alerted;
               above_benign: ranked above all but BUDGET of the benign entities). A rule set has
               one threshold, which stands for all three.
missed         by contender: attackers without an alert at at_rate, and how many of them (brief)
               sent at most BRIEF attack logs
false_alarms   by contender and kind of benign log: logs, and how many alerted, own and at_rate
first_reasons  by family and first reason of our model's alerts on attacks: alerts, and whether
               the reason names what the attack changes
thresholds     by budget: benign logs, and how many of them our model alerted
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from benchmarks.quality.bootstrap import draw_weights
from benchmarks.quality.contenders import BUDGET, Contender, Scored, score_with_our_model
from benchmarks.quality.curves import LabelledScores, OperatingCurve, RankedLogs
from benchmarks.quality.datasets import Dataset, Floats, UnreadableData
from benchmarks.quality.first_reasons import CHANGED, names_attack

Tables: TypeAlias = dict[str, pd.DataFrame]

COUNTINGS = ("request", "entity")
RATES = (0.0001, 0.001, 0.0024, 0.01, 0.03)  # shares of the benign at which recall is read
RECALLS = np.linspace(0.0, 1.0, 101)  # of the curves
BUDGETS = (0.01, 0.001)  # for which our threshold is checked
BRIEF = 2
OF_AN_ATTACKER = "benign log of an attacker's own address or account"
PLAIN = "benign"


class Thresholds(NamedTuple):
    """The thresholds of the tables `families` and `false_alarms`."""

    own: float
    at_rate: float
    above_benign: float


def measure(data: Dataset, contenders: Sequence[Contender], replicates: int) -> Tables:
    """Let every contender score the data set, and count. All tables but `thresholds`.

    Raises UnreadableData if the test part has no labelled attack or no labelled benign log.
    """
    is_attack = data.label[data.cut :][data.known] == 1
    if not is_attack.any() or is_attack.all():
        raise UnreadableData(f"{data.name}: the test part needs attacks and benign logs, labelled")
    entity = data.entity[data.cut :][data.known]
    scored = {contender.name: contender.score(data) for contender in contenders}
    labelled = {
        name: LabelledScores(one.scores[data.known], is_attack, entity)
        for name, one in scored.items()
    }
    thresholds = {
        each.name: _thresholds(each, labelled[each.name], scored[each.name]) for each in contenders
    }
    tables = _compare(labelled, contenders, scored, replicates)
    tables["sizes"] = _sizes(data, next(iter(labelled.values())))
    for name, table in (("families", _families), ("false_alarms", _false_alarms)):
        tables[name] = _by_contender(
            {who: table(data, labelled[who], limits) for who, limits in thresholds.items()}
        )
    tables["missed"] = pd.DataFrame(
        [{"contender": who, **_missed(labelled[who], t.at_rate)} for who, t in thresholds.items()]
    )
    tables["first_reasons"] = _first_reasons(data, scored)
    return {name: with_dataset(table, data.name) for name, table in tables.items()}


def check_threshold(data: Dataset, budget: float) -> Tables:
    """Train our model for an alert budget, and count alerts on benign logs of the test part."""
    scored = score_with_our_model(data, budget)
    benign = data.label[data.cut :] == 0
    alerts = int((scored.scores[benign] >= scored.threshold).sum())
    row = {"budget": budget, "logs": int(benign.sum()), "alerts": alerts}
    return {"thresholds": with_dataset(pd.DataFrame([row]), data.name)}


def with_dataset(table: pd.DataFrame, name: str) -> pd.DataFrame:
    table.insert(0, "dataset", name)
    return table


def _thresholds(contender: Contender, labelled: LabelledScores, scored: Scored) -> Thresholds:
    if contender.is_rules:
        return Thresholds(scored.threshold, scored.threshold, scored.threshold)
    above_benign = labelled.per_entity().threshold_at(BUDGET)
    return Thresholds(scored.threshold, labelled.threshold_at(BUDGET), above_benign)


def _by_contender(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    for name, table in tables.items():
        table.insert(0, "contender", name)
    return pd.concat(list(tables.values()), ignore_index=True)


def _sizes(data: Dataset, labelled: LabelledScores) -> pd.DataFrame:
    attackers = labelled.per_entity().is_attack
    row = {
        "logs": len(data),
        "training": data.cut,
        "attacks": int(labelled.is_attack.sum()),
        "benign": int((~labelled.is_attack).sum()),
        "attackers": int(attackers.sum()),
        "benign_entities": int((~attackers).sum()),
        "days": data.days,
    }
    return pd.DataFrame([row])


def _compare(
    labelled: Mapping[str, LabelledScores],
    contenders: Sequence[Contender],
    scored: Mapping[str, Scored],
    replicates: int,
) -> Tables:
    """The tables accuracy, curves, comparisons and samples."""
    rows: dict[str, list[dict[Any, Any]]] = {
        name: [] for name in ("accuracy", "curves", "comparisons", "samples")
    }
    weights = _entity_weights(next(iter(labelled.values())), replicates)
    rule_sets = [each.name for each in contenders if each.is_rules]
    for counting in COUNTINGS:
        each = {
            name: one if counting == "request" else one.per_entity()
            for name, one in labelled.items()
        }
        curves = {name: OperatingCurve.of(one.scores, one.is_attack) for name, one in each.items()}
        ranked = {name: RankedLogs.of(*one) for name, one in each.items()}
        sampled = {name: [one.curve(w) for w in weights] for name, one in ranked.items()}
        # The alerts of a rule set are the first point after 0 of its curve, if it has any.
        point = {name: int(each[name].scores.max() >= scored[name].threshold) for name in rule_sets}
        for name, one in each.items():
            key = {"counting": counting, "contender": name}
            is_rules = name in rule_sets
            accuracy = _accuracy(one, scored[name].threshold, curves[name])
            rows["accuracy"].append({**key, "is_rules": is_rules, **accuracy})
            rows["curves"].append({**key, **_false_positives_by_recall(curves[name])})
            for rules in rule_sets:
                at = {**key, "rules": rules}
                comparison = _at_equal_recall(curves[rules], curves[name], point[rules])
                samples = [
                    _at_equal_recall(theirs, ours, point[rules])
                    for theirs, ours in zip(sampled[rules], sampled[name], strict=True)
                ]
                rows["comparisons"].append({**at, **comparison})
                for of in ("rules_false_positives", "false_positives"):
                    values = (sample[of] for sample in samples)
                    rows["samples"].append({**at, "of": of, **dict(enumerate(values))})
    return {name: pd.DataFrame(found) for name, found in rows.items()}


def _entity_weights(labelled: LabelledScores, replicates: int) -> Floats:
    """float64 (replicates, largest entity + 1): 0 for entities outside the test part."""
    each = labelled.per_entity()
    weights = np.zeros((replicates, int(each.entity.max()) + 1))
    weights[:, each.entity] = draw_weights(each.is_attack, replicates)
    return weights


def _accuracy(
    labelled: LabelledScores, threshold: float, curve: OperatingCurve
) -> dict[str, int | float]:
    alerted = labelled.scores >= threshold
    return {
        "found": int((alerted & labelled.is_attack).sum()),
        "false_positives": int((alerted & ~labelled.is_attack).sum()),
        "average_precision": curve.average_precision(),
        **{f"recall_at_{rate:g}": curve.recall_at(rate) for rate in RATES},
    }


def _false_positives_by_recall(curve: OperatingCurve) -> dict[str, float]:
    return {
        f"{recall:.2f}": curve.false_positives_at(recall * curve.attacks[-1])
        for recall in RECALLS.tolist()
    }


def _at_equal_recall(
    rules: OperatingCurve, contender: OperatingCurve, point: int
) -> dict[str, float]:
    """`point` is the point of the rules' own alerts on their curve."""
    found = float(rules.attacks[point])
    return {
        "found_by_rules": found,
        "rules_false_positives": float(rules.benign[point]),
        "false_positives": contender.false_positives_at(found),
    }


def _families(data: Dataset, labelled: LabelledScores, limits: Thresholds) -> pd.DataFrame:
    family = np.array([name or "" for name in data.family[data.cut :]], dtype=object)[data.known]
    logs = pd.DataFrame({"family": family, "entity": labelled.entity, "score": labelled.scores})
    logs = logs[labelled.is_attack]
    each = labelled.per_entity()
    highest = pd.Series(each.scores, index=each.entity)
    entities = logs[["family", "entity"]].drop_duplicates()
    entities["score"] = entities["entity"].map(highest)
    found = pd.DataFrame({"entities": entities.groupby("family").size()})
    found["logs"] = logs.groupby("family").size()
    for name, limit in limits._asdict().items():
        found[name] = (entities["score"] >= limit).groupby(entities["family"]).sum()
    found["logs_at_rate"] = (logs["score"] >= limits.at_rate).groupby(logs["family"]).sum()
    return found.rename(index={"": "attack"}).reset_index()


def _missed(labelled: LabelledScores, threshold: float) -> dict[str, int]:
    each = labelled.per_entity()
    quiet = each.entity[each.is_attack & (each.scores < threshold)]
    sent = Counter(labelled.entity[labelled.is_attack].tolist())
    brief = sum(sent[entity] <= BRIEF for entity in quiet.tolist())
    return {"attackers": len(quiet), "brief": brief}


def _false_alarms(data: Dataset, labelled: LabelledScores, limits: Thresholds) -> pd.DataFrame:
    attackers = np.isin(labelled.entity, np.unique(labelled.entity[labelled.is_attack]))
    kinds = np.array([kind or PLAIN for kind in data.kind[data.cut :]], dtype=object)[data.known]
    kinds[attackers] = OF_AN_ATTACKER
    logs = pd.DataFrame({"kind": kinds, "logs": 1})
    logs["own"] = (labelled.scores >= limits.own).astype(int)
    logs["at_rate"] = (labelled.scores >= limits.at_rate).astype(int)
    return logs[~labelled.is_attack].groupby("kind").sum().reset_index()


def _first_reasons(data: Dataset, scored: Mapping[str, Scored]) -> pd.DataFrame:
    # Of the contender that gives reasons; families of real logs have no entry in CHANGED.
    family = data.family[data.cut :]
    counts: Counter[tuple[str, str]] = Counter()
    detections = [one.detections for one in scored.values() if one.detections is not None]
    for anomaly in detections[0].anomalies if detections else ():
        name = family[anomaly.index]
        if name in CHANGED:
            counts[name, anomaly.reasons[0].feature if anomaly.reasons else "no reason"] += 1
    rows = [(*key, names_attack(*key), alerts) for key, alerts in counts.items()]
    table = pd.DataFrame(rows, columns=["family", "first_reason", "names_attack", "alerts"])
    return table.astype({"names_attack": bool, "alerts": int})
