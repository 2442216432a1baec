"""Rules in YAML: what is read, and what is rejected with which message."""

from pathlib import Path

import pytest

from api_anomaly.rules import Match, Rule, RuleError, RuleSet

COUNTING = """
rules:
  - id: logins
    description: many log-ins
    counts: {endpoint: /login, status: [401, 500-503], method: post}
    per: address
    window: 90 s
    threshold: more than 9
"""

MISTAKES = {
    "[": "not readable YAML",
    "rules: 3": "list named 'rules'",
    "rules: []\nmode: fast": "unknown entry 'mode'",
    "rules:\n  - just text": "rule number 1: must be a mapping",
    "rules:\n  - description: x\n": "rule number 1: needs an id",
    "rules:\n  - {id: a, description: x}\n": "rule 'a': needs 'counts' (or 'fires_on'",
    "rules:\n  - {id: a, fires_on: {status: 404}}\n": "rule 'a': needs 'description'",
    "rules:\n  - {id: a, description: x, fires_on: {}}\n": "rule 'a': conditions must be",
    "rules:\n  - {id: a, description: x, fires_on: {colour: red}}\n": "rule 'a': unknown entry",
    "rules:\n  - {id: a, description: x, fires_on: {status: 4xx}}\n": "rule 'a', status: '4xx'",
    "rules:\n  - {id: a, description: x, fires_on: {status: 99}}\n": "rule 'a', status: 99",
    "rules:\n  - {id: a, description: x, fires_on: {status: 500-400}}\n": "low end first",
    "rules:\n  - {id: a, description: x, fires_on: {status: true}}\n": "rule 'a', status: True",
    "rules:\n  - {id: a, description: x, fires_on: {status: []}}\n": "the list is empty",
    "rules:\n  - {id: a, description: x, fires_on: {method: 5}}\n": "rule 'a', method: 5 must be",
    "rules:\n  - {id: a, description: x, fires_on: {response_size: 5 MB}}\n": "'more than N'",
    "rules:\n  - {id: a, description: x, fires_on: {status: 404}, window: 60 s}\n": "'window'",
    COUNTING.replace("90 s", "90"): "rule 'logins': window 90 must read",
    COUNTING.replace("90 s", "0 s"): "rule 'logins': window '0 s'",
    COUNTING.replace("more than 9", "over 9"): "rule 'logins': threshold 'over 9'",
    COUNTING.replace("more than 9", "at least 0"): "rule 'logins': threshold",
    COUNTING.replace("per: address", "per: planet"): "rule 'logins': per must be one of",
    COUNTING + COUNTING.replace("\nrules:", ""): "rule 'logins': the id is used twice",
}


def test_every_field_of_a_counting_rule_is_read() -> None:
    (rule,) = RuleSet.load(COUNTING).rules
    match = Match(status=((401, 401), (500, 503)), method=("POST",), endpoint=("/login",))
    assert rule == Rule("logins", "many log-ins", match, "address", 90.0, 10)


def test_the_default_rules_are_those_of_the_published_figures() -> None:
    rules = {rule.id: rule for rule in RuleSet.default().rules}
    counted = {id: (rule.window, rule.at_least) for id, rule in rules.items() if rule.window}
    assert counted == {"request_rate": (60, 61), "client_errors": (60, 5), "posts": (60, 5)}
    assert rules["client_errors"].match.status == ((400, 499),)
    assert rules["posts"].match.method == ("POST",)
    assert rules["server_error"].match.status == ((500, 599),)
    assert rules["refused"].match.status == ((401, 401), (403, 403))
    assert rules["large_response"].match.size_over == 5_000_000
    assert "nikto" in rules["scanner_agent"].match.agent
    assert "curl" in rules["script_agent"].match.agent
    assert {rule.per for rule in rules.values()} == {"actor"}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items())
def test_a_mistake_is_rejected_and_the_rule_is_named(text: str, message: str) -> None:
    with pytest.raises(RuleError) as error:
        RuleSet.load(text if "\n" in text else text + "\n")
    assert message in str(error.value)


def test_rules_written_to_yaml_are_read_back_equal() -> None:
    for rules in (RuleSet.default(), RuleSet.load(COUNTING)):
        noted = RuleSet(rules.rules, ("a note: with a colon", "another"))
        assert RuleSet.load(noted.to_yaml()) == noted


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(COUNTING)
    assert RuleSet.load(file) == RuleSet.load(str(file)) == RuleSet.load(COUNTING)
    with pytest.raises(OSError):
        RuleSet.load(tmp_path / "none.yaml")


def test_rules_can_be_excluded_by_id() -> None:
    rules = RuleSet.default()
    assert set(rules.ids) - set(rules.without("posts", "refused").ids) == {"posts", "refused"}
    with pytest.raises(RuleError, match="'unknown'"):
        rules.without("unknown")
