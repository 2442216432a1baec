"""Static rules: the baseline that the detector is compared with.

Readable rules in YAML (``default.yaml``), one engine that evaluates them over logs, and tuning on a
training window. The rules can run beside the detector on live traffic. The package reads no clock
(time is in the logs) and imports no other package of the service; it needs numpy and PyYAML.

    YAML -parsing-> RuleSet -RuleEngine.evaluate(RuleLogs)-> Fired (n, rules)
    training RuleLogs -tune-> RuleSet with higher thresholds and notes that say why
"""

from api_anomaly.rules.engine import Fired, RuleEngine
from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.rule import Match, Rule, RuleError
from api_anomaly.rules.ruleset import RuleSet
from api_anomaly.rules.tuning import tune

__all__ = [
    "Fired",
    "Match",
    "Rule",
    "RuleEngine",
    "RuleError",
    "RuleLogs",
    "RuleSet",
    "tune",
]
