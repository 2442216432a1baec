"""The static rules: what a careful team writes by hand before it has a detector.

Lives here: readable rules in YAML (``default.yaml``), their evaluation over logs in time order, and
their tuning on a training window. The rules are the baseline that the detector has to beat, and can
run beside it on live traffic (`RuleStream`).
May not live here: HTTP, files other than the rules themselves, clocks (time arrives in the logs),
the detector. This room imports no other room; it needs numpy and PyYAML only.

    YAML -reading-> RuleSet -evaluate(RuleLogs, RuleState)-> Fired (n, rules)
    RuleSet -RuleStream.fired(SentLogs)-> Fired, call by call, in any order of time, in bounded room
    training RuleLogs -tune-> RuleSet with higher thresholds and notes that say why
"""

from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.rule import Match, Rule, RuleError
from api_anomaly.rules.ruleset import Fired, RuleSet
from api_anomaly.rules.state import RuleState
from api_anomaly.rules.stream import RuleStream, SentLogs
from api_anomaly.rules.tuning import tune

__all__ = [
    "Fired",
    "Match",
    "Rule",
    "RuleError",
    "RuleLogs",
    "RuleSet",
    "RuleState",
    "RuleStream",
    "SentLogs",
    "tune",
]
