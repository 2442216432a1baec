"""The second opinion over HTTP: what rules say beside the model, only when asked."""

from pathlib import Path
from typing import Any

import pytest

from api_anomaly.rules import RuleSet
from api_anomaly.settings import Settings, SettingsError

START = 1_700_020_000.0


def errors(count: int, start: float = START, who: str = "eve") -> list[dict[str, Any]]:
    """Logs that are not found, one a second: from the fifth on the default rules speak."""
    return [
        {
            "timestamp": start + i,
            "user_id": who,
            "ip_address": "192.0.2.77",
            "endpoint": f"/x/{i}",
            "method": "GET",
            "status_code": 404,
            "user_agent": "Mozilla/5.0",
        }
        for i in range(count)
    ]


def ask(client: Any, logs: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """The answer with rules."""
    answer = client.post("/detect", json={"logs": logs, "include_rules": True} | options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture()
def served(serve, logs):
    with serve() as client:
        client.post("/train", json={"logs": logs(300)})
        yield client


def test_rules_come_only_when_asked_and_change_nothing_else(served) -> None:
    plain = served.post("/detect", json={"logs": errors(8), "update_state": False}).json()
    told = ask(served, errors(8), update_state=False)
    assert set(told) - set(plain) == {"rules", "rule_counts", "rule_agreement"}
    assert {name: told[name] for name in plain} == plain


def test_each_log_says_which_rules_fired_and_the_counts_add_up(served) -> None:
    scanner = errors(1, START + 100.0, "bob")[0] | {"user_agent": "sqlmap/1.7", "status_code": 503}
    told = ask(served, [*errors(6), scanner], threshold=-0.001)
    assert told["rules"] == [
        {"log_index": 4, "rules": ["client_errors"]},
        {"log_index": 5, "rules": ["client_errors"]},
        {"log_index": 6, "rules": ["server_error", "scanner_agent"]},
    ]
    assert set(told["rule_counts"]) == set(RuleSet.default().ids)
    assert sum(told["rule_counts"].values()) == 4 and told["rule_counts"]["client_errors"] == 2
    assert told["anomaly_count"] == 7  # whatever scores below -0.001
    assert told["rule_agreement"] == {"both": 3, "rules_only": 0, "model_only": 4}
    nobody = ask(served, [*errors(1, START + 200.0, "cy")], threshold=-1.0)
    assert nobody["rule_agreement"] == {"both": 0, "rules_only": 0, "model_only": 0}


def test_rules_count_across_calls_and_a_look_is_not_counted(served) -> None:
    ask(served, errors(4))
    assert ask(served, errors(1, START + 4.0), update_state=False)["rules"]
    assert ask(served, errors(1, START + 200.0), update_state=False)["rules"] == []
    assert ask(served, errors(1, START + 5.0))["rules"]
    assert ask(served, errors(1, START + 5.0, "bob"))["rules"] == []


def test_a_retry_is_not_counted_twice(served) -> None:
    body = {"logs": errors(4), "include_rules": True}
    headers = {"Idempotency-Key": "once"}
    first, again = (served.post("/detect", json=body, headers=headers) for _ in range(2))
    assert first.content == again.content
    assert ask(served, [])["rules"] == []
    assert ask(served, errors(1, START + 4.0), update_state=False)["rules"]
    body["logs"] = errors(2, START + 1_000.0)
    for _ in range(2):
        served.post("/detect", json=body, headers={"Idempotency-Key": "twice"})
    assert ask(served, errors(2, START + 1_002.0))["rules"] == []


def test_many_logs_get_the_same_answer_beside_the_event_loop(serve, logs, tmp_path: Path) -> None:
    batch = logs(300, start=START)
    answers = []
    for inline in (0, 10_000):
        with serve(inline_logs=inline) as client:
            client.post("/train", json={"logs": logs(300)})
            answers.append(ask(client, batch + errors(9)))
    for field in ("rules", "rule_counts"):
        assert answers[0][field] == answers[1][field]


RULES = """
rules:
  - id: gone
    description: two logs that are not found
    counts: {status: 404}
    per: actor
    window: 60 s
    threshold: at least 2
"""


def test_a_file_of_rules_of_ones_own(serve, logs, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    with serve(rules_file=file) as client:
        client.post("/train", json={"logs": logs(100)})
        told = ask(client, errors(3))
    assert told["rule_counts"] == {"gone": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "a readable file of rules"),
        ("rules: 5", "a list named 'rules'"),
        (RULES.replace("at least 2", "often"), "rule 'gone': threshold 'often'"),
        (RULES.replace("at least 2", "at least 9999999"), "rule 'gone': on live traffic"),
        ("\x00", "not readable YAML"),
    ],
)
def test_rules_that_cannot_be_used_stop_the_start_and_say_why(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "rules.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match="RULES_FILE is .*, but must be") as refusal:
        Settings(rules_file=file)
    assert said in str(refusal.value)


def test_rules_in_another_encoding_are_an_error_too(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(b"rules: \xff")
    with pytest.raises(SettingsError, match="RULES_FILE"):
        Settings(rules_file=file)
